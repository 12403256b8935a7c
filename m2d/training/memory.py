"""Choice of the micro-batch: the largest equal part of the batch that fits a device's memory."""

import os
from collections.abc import Callable
from pathlib import Path

import torch

PROBE = 32
"""Samples up to which memory is measured step by step; beyond, it is extrapolated and then tried."""

USABLE = 0.9
"""Share of the free memory that is used, leaving some for fragmentation and libraries."""


def micro_batch(share: int, need: Callable[[int], int], available: float) -> int:
    """The largest divisor of a rank's `share` of the batch whose forward and backward pass fits.

    `need(n)` is the peak, in bytes, of a pass over n samples, nearly linear in n; it may raise
    `torch.OutOfMemoryError`. 1 if not even one sample fits: the run will report it.
    """
    sizes = [size for size in range(1, share + 1) if share % size == 0]
    known: list[tuple[int, int]] = []
    for size in sizes:
        if (size > PROBE and len(known) > 1) or not _fits(size, need, available, known):
            break
    if len(known) < 2:
        return known[-1][0] if known else 1
    (n, low), (m, high) = known[-2:]
    per_sample = (high - low) / (m - n)
    for size in reversed(sizes):
        if size <= m or (high + per_sample * (size - m) <= available and _fits(size, need, available, known)):
            return max(size, m)
    return 1


def _fits(size: int, need: Callable[[int], int], available: float, known: list[tuple[int, int]]) -> bool:
    """Whether a pass over `size` samples fits; its need is added to `known` if so."""
    try:
        peak = need(size)
    except torch.OutOfMemoryError:
        return False
    if peak <= available:
        known.append((size, peak))
    return peak <= available


def available_bytes(device: torch.device) -> float:
    """Memory that this rank may use: that of its GPU, or its share of the host's."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return USABLE * (free + torch.cuda.memory_reserved(device))
    return USABLE * host_bytes() / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def host_bytes(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Unused memory of this host, within the limits of the process's control groups (version 2)."""
    lines = dict(line.split(":", 1) for line in (proc / "meminfo").read_text().splitlines())
    free = 1024 * int(lines["MemAvailable"].split()[0])
    own = next((line[3:] for line in (proc / "self/cgroup").read_text().splitlines() if line.startswith("0::")), "/")
    group = cgroups / own.strip("/")
    for place in (group, *group.parents):
        limit = place / "memory.max"
        if limit.is_file() and (text := limit.read_text().strip()) != "max":
            stat = dict(line.split() for line in (place / "memory.stat").read_text().splitlines())
            used = int((place / "memory.current").read_text()) - int(stat["inactive_file"])  # caches can be reclaimed
            free = min(free, int(text) - used)
        if place == cgroups:
            break
    return max(free, 0)
