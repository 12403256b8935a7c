"""Memory for batches: a block for each, used again once nothing refers to the batch, shared with worker processes.

The kernel clears fresh memory page by page when it is first touched, and worker processes would hand over each tensor
as a file of its own: both cost several times as much as reading a batch into memory that is there (`bench.feed`).
"""

from __future__ import annotations

import itertools
import math
import shutil
import weakref
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from m2d.common.errors import UserError

ALIGNMENT = 64
SHARED = Path("/dev/shm")
"""Where processes share memory on Linux."""

Layout = dict[str, tuple[tuple[int, ...], torch.dtype]]
"""Name, shape and dtype of each tensor of a batch."""


def block_bytes(layout: Layout) -> int:
    """Bytes of a block that holds the tensors, each at a multiple of `ALIGNMENT`."""
    return sum(_aligned(shape, dtype) for shape, dtype in layout.values())


def views(block: np.ndarray, layout: Layout) -> dict[str, Tensor]:
    """The tensors of `layout`, one behind the other in `block` uint8 `[block_bytes]`, which they keep alive."""
    tensors, start, memory = {}, 0, torch.from_numpy(block)
    for name, (shape, dtype) in layout.items():
        tensors[name] = memory[start:start + math.prod(shape) * dtype.itemsize].view(dtype).view(shape)
        start += _aligned(shape, dtype)
    return tensors


def _aligned(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    return -(-math.prod(shape) * dtype.itemsize // ALIGNMENT) * ALIGNMENT


class BatchMemory:
    """`places` blocks for batches of one layout. With `shared`, processes started later fill the same memory.

    A batch is handed from a worker to the process that made the memory as a `Filled`: not its bytes, only its place.
    Raises `UserError` where there is not so much shared memory.
    """

    _all: ClassVar[weakref.WeakValueDictionary[int, BatchMemory]] = weakref.WeakValueDictionary()
    _numbers: ClassVar[itertools.count] = itertools.count()

    def __init__(self, layout: Layout, places: int, shared: bool):
        self._layout, self._size = layout, block_bytes(layout)
        size = places * self._size
        if shared:
            _check_room(size)
        self._memory = RawArray("B", size) if shared else np.empty(size, np.uint8)
        self._free = list(range(places))  # the last one given back is taken first: the caches may still hold it
        self.number = next(self._numbers)
        self._all[self.number] = self

    def take(self) -> int | None:
        """A place that nothing refers to; None when there is none."""
        return self._free.pop() if self._free else None

    def tensors(self, place: int) -> dict[str, Tensor]:
        """The batch at a place, to be filled."""
        return views(self._block(place), self._layout)

    def lend(self, place: int) -> dict[str, Tensor]:
        """The batch at a place that was taken. The place is free again when the last of its tensors is gone."""
        block = self._block(place)
        weakref.finalize(block, self._free.append, place).atexit = False
        return views(block, self._layout)

    def _block(self, place: int) -> np.ndarray:
        return np.frombuffer(self._memory, np.uint8, self._size, place * self._size)


def _check_room(size: int) -> None:
    """Without room Python would take a file on a disk instead, unasked: slow, and a bus error when that is full."""
    if SHARED.is_dir() and (free := shutil.disk_usage(SHARED).free) < size:
        raise UserError(f"{SHARED}: {free / 1e9:.2f} GB are free, but the batches that workers read ahead take "
                        f"{size / 1e9:.2f} GB: use fewer workers or a smaller batch, or make it larger")


class Filled:
    """A filled place on its way to the process that made the memory, where it is unpickled as the batch itself."""

    def __init__(self, memory: BatchMemory, place: int, rest: dict[str, object]):
        self._memory, self._place, self._rest = memory, place, rest

    def __reduce__(self) -> tuple:
        return _batch, (self._memory.number, self._place, self._rest)


def _batch(number: int, place: int, rest: dict[str, object]) -> dict[str, object]:
    return {**BatchMemory._all[number].lend(place), **rest}
