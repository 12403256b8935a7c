"""Memory for batches: all tensors of a batch in one block, and a ring of blocks that worker processes fill.

A ring is used instead of new tensors because the kernel clears new shared pages on first use, which takes several times
as long as reading a batch into existing memory (tools/bench/README.md).
"""

import math
import shutil
from pathlib import Path

import torch
from torch import Tensor

from m2d.common.errors import UserError

ALIGNMENT = 64
SHARED = Path("/dev/shm")
"""Where processes share memory on Linux."""

Layout = dict[str, tuple[tuple[int, ...], torch.dtype]]
"""Name, shape and dtype of each tensor of a batch."""


def new_block(layout: Layout) -> Tensor:
    """A block uint8 `[bytes]` that holds the tensors, each at a multiple of `ALIGNMENT`."""
    return torch.empty(sum(_aligned(shape, dtype) for shape, dtype in layout.values()), dtype=torch.uint8)


def views(block: Tensor, layout: Layout) -> dict[str, Tensor]:
    """The tensors of `layout`, one behind the other in `block`, whose memory they share."""
    tensors, start = {}, 0
    for name, (shape, dtype) in layout.items():
        tensors[name] = block[start:start + math.prod(shape) * dtype.itemsize].view(dtype).view(shape)
        start += _aligned(shape, dtype)
    return tensors


def ring(layout: Layout, places: int, shared: bool) -> list[Tensor]:
    """`places` blocks, `shared` with processes started later. `UserError` for too little memory, else a bus error."""
    blocks = [new_block(layout) for _ in range(places)]
    if shared:
        size = sum(block.nbytes for block in blocks)
        if SHARED.is_dir() and (free := shutil.disk_usage(SHARED).free) < size:
            raise UserError(f"{SHARED}: {free / 1e9:.2f} GB are free, but the batches that workers read ahead take "
                            f"{size / 1e9:.2f} GB: use fewer workers or a smaller batch, or make it larger")
        for block in blocks:
            block.share_memory_()
    return blocks


def _aligned(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    return -(-math.prod(shape) * dtype.itemsize // ALIGNMENT) * ALIGNMENT
