"""Profile of a step: time of matrix products, of attention, and of everything else by name."""

from collections import Counter
from collections.abc import Callable

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

# Parts of the names of operators (CPU) and of kernels (GPU: cuBLAS and CUTLASS, the attention of torch and of cuDNN).
MATMUL = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm",
          "gemm", "nvjet", "xmma", "cutlass", "splitk", "cublas")
ATTENTION = ("attention", "flash", "fmha", "sdpa")


def time_by_kind(work: Callable[[], object], device: torch.device, largest: int = 6) -> dict[str, float]:
    """Shares of the device's busy time in one call of `work`: `matmul`, `attention`, then the largest others by name.

    On a GPU the times are those of its kernels, on a CPU those of the operators without what they call.
    """
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CUDA] if on_gpu else [ProfilerActivity.CPU]
    with profile(activities=activities, acc_events=True) as profiler:
        work()
        if on_gpu:
            torch.cuda.synchronize(device)
    seconds: Counter[str] = Counter()
    for event in profiler.key_averages():
        if on_gpu and event.device_type == DeviceType.CUDA:
            seconds[kind(event.key)] += event.self_device_time_total
        elif not on_gpu:
            seconds[kind(event.key)] += event.self_cpu_time_total
    total = sum(seconds.values())
    main = {name: seconds.pop(name, 0) / total for name in ("attention", "matmul")}
    return {**main, **{name: spent / total for name, spent in seconds.most_common(largest)}}


def kind(name: str) -> str:
    """`matmul`, `attention`, or a short form of the operator's or kernel's own name."""
    lower = name.lower()
    if any(part in lower for part in ATTENTION):
        return "attention"
    if any(part in lower for part in MATMUL):
        return "matmul"
    return name.removeprefix("aten::").removeprefix("void ").partition("<")[0].rpartition("::")[2][:40]
