"""Timing by device events or a clock, with warm-up and medians, and the device's limits."""

import gc
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable

import torch

CPU = torch.device("cpu")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""`cpu` counts the seconds that this process had a processor: on a machine that others use too, with one thread."""


def once(work: Callable[[], object], device: torch.device, calls: int = 1, clock: str = "wall") -> float:
    """Seconds of one call of `work`, from `calls` in a row; the device is idle before and after.

    A GPU is timed by its own events, so that the host may run ahead from call to call, as it does in training.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(calls):
            work()
        end.record()
        torch.cuda.synchronize(device)
        return start.elapsed_time(end) / 1e3 / calls
    gc.collect()
    before = CLOCKS[clock]()
    for _ in range(calls):
        work()
    return (CLOCKS[clock]() - before) / calls


def in_turns(works: dict[str, Callable[[], object]], turns: int, device: torch.device = CPU,
             calls: int = 1, warmup: int = 1, clock: str = "wall") -> dict[str, list[float]]:
    """Seconds of one call of each of `works`, `turns` of them: all take turns, so that all see the same machine."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(warmup + turns):
        for name, work in works.items():
            spent = once(work, device, calls, clock)
            if turn >= warmup:
                times[name].append(spent)
    return times


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    """The median of each list."""
    return {name: statistics.median(spent) for name, spent in times.items()}


def products(device: torch.device, dtype: torch.dtype) -> dict[str, tuple[Callable[[], object], float]]:
    """Large square matrix products on random data, each with its FLOPs: the limits that a step is compared with."""
    n = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    return {"mm": (lambda: torch.mm(a, b), 2.0 * n**3)}


def copy(device: torch.device) -> tuple[Callable[[], object], float]:
    """A large copy on the device, and the bytes that it reads and writes."""
    source = torch.randn(1 << (29 if device.type == "cuda" else 24), device=device)
    target = torch.empty_like(source)
    return (lambda: target.copy_(source)), 2.0 * source.nbytes


def rate(work: Callable[[], object], amount: float, device: torch.device, clock: str = "wall") -> float:
    """Amount a second, median of 10."""
    return amount / medians(in_turns({"": work}, 10, device, calls=5 if device.type == "cuda" else 1, clock=clock))[""]


def cpu_of_all() -> float:
    """CPU seconds of this process and of its worker processes that are alive (Linux)."""
    clocks = (~worker.pid << 3 | 2 for worker in multiprocessing.active_children())  # as clock_getcpuclockid(3) has it
    return time.process_time() + sum(map(time.clock_gettime, clocks))


def machine(device: torch.device = CPU) -> dict[str, object]:
    """Conditions of the measurement: processor or GPU, threads, versions, load of the machine before."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {"device": name, "threads": torch.get_num_threads(), "torch": torch.__version__,
            "python": platform.python_version(), "load": round(os.getloadavg()[0], 1),
            "date": time.strftime("%Y-%m-%d")}


def processor() -> str:
    """The processor's name, its family and model, which vendors' names may leave open, and their number, on Linux."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            lines = [[word.strip() for word in line.split(":", 1)] for line in stream if ":" in line]
        first = dict(reversed(lines))
        wide = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in first["flags"].split()]
        count = sum(name == "processor" for name, _ in lines)
        return f"{first['model name']} (family {first['cpu family']} model {first['model']}, {wide[-1]}), {count} CPUs"
    except (OSError, KeyError, IndexError):
        return platform.processor() or platform.machine()
