"""Prefetching of batches by worker processes, with clear errors when one of them fails."""

import atexit
import itertools
import os
import signal
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from m2d.common.errors import UserError
from m2d.data.dataset import Batch, PretrainDataset
from m2d.data.memory import Layout, ring, views
from m2d.data.sampler import GlobalSampler

IN_USE = 3
"""Batches that training may hold beside those read ahead: one being worked on, one being copied, one to come."""


class PretrainLoader:
    """Batches of a dataset in a sampler's order, read ahead by `workers` processes (0: by this one).

    Iteration, one at a time, follows the sampler to the end of its last epoch. A batch's memory is reused after
    `IN_USE` more batches. Raises `UserError` that names the file when data can't be read, and the data when a
    worker dies.
    """

    def __init__(self, dataset: PretrainDataset, sampler: GlobalSampler, workers: int = 0, *, pin_memory: bool = False,
                 prefetch: int = 4):
        self.dataset, self.sampler = dataset, sampler
        self.workers, self.pin_memory, self.prefetch = workers, pin_memory, prefetch
        self._batches: Iterator[Batch | UserError] | None = None
        atexit.register(_close, weakref.ref(self))

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        layout = self.dataset.layout(self.sampler.local_batch)
        blocks = ring(layout, self.workers * self.prefetch + IN_USE, shared=self.workers > 0)
        self._batches = iter(DataLoader(
            _Reader(self.dataset, layout, blocks), batch_size=None, sampler=_Numbered(self.sampler),
            num_workers=self.workers, pin_memory=self.pin_memory, collate_fn=_unchanged,
            prefetch_factor=self.prefetch if self.workers else None, worker_init_fn=_ignore_signals,
            generator=torch.Generator()))  # a separate generator: the loader must not advance the run's
        mapped: dict[int, Tensor] = {}  # torch does not remap a block's memory while it is referenced
        try:
            for number in itertools.count():
                batch = next(self._batches, None)
                if batch is None:
                    return
                if isinstance(batch, UserError):
                    raise batch
                block = mapped[number % len(blocks)] = batch.pop("block")
                yield {**views(block, layout), **batch}
        except (RuntimeError, EOFError, ConnectionError) as error:
            if not is_worker_death(error):
                raise
            raise worker_death(self.dataset.directory, error) from error
        finally:
            self._batches = None


def default_workers() -> int:
    """Loader processes for one rank: its share of the CPUs minus one, from 1 to 4."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(4, len(os.sched_getaffinity(0)) // ranks - 1))


def _close(loader: weakref.ref[PretrainLoader]) -> None:
    """Kill workers that outlive an error: they ignore the signal that Python sends at exit, and it would wait."""
    if loader() is not None:
        loader()._batches = None


def is_worker_death(error: Exception) -> bool:
    """Whether an error of torch's loader means a dead worker: a broken connection, or raised in a signal handler."""
    return not isinstance(error, RuntimeError) or "DataLoader worker" in str(error)


def worker_death(data: str | Path, error: Exception) -> UserError:
    """The error for a worker that died, with advice."""
    return UserError(f"{data}: a worker reading it died ({' '.join(str(error).split())}): often for want of memory or "
                     "room in /dev/shm; use fewer workers or a smaller batch")


class _Numbered(Sampler):
    """A sampler's batches with their numbers, which select the blocks that they are read into."""

    def __init__(self, sampler: GlobalSampler):
        self._sampler = sampler

    def __iter__(self) -> Iterator[tuple[int, int, np.ndarray]]:
        for number, (epoch, indices) in enumerate(self._sampler):
            yield number, epoch, indices


class _Reader(Dataset):
    """Reads batches into the blocks of a ring; a `UserError` is an item: raised in a worker, it would be wrapped."""

    def __init__(self, dataset: PretrainDataset, layout: Layout, blocks: list[Tensor]):
        self._dataset, self._layout, self._blocks = dataset, layout, blocks

    def __getitem__(self, key: tuple[int, int, np.ndarray]) -> dict[str, Any] | UserError:
        number, *samples = key
        block = self._blocks[number % len(self._blocks)]
        try:
            batch = self._dataset.fill(views(block, self._layout), *samples)
        except UserError as error:
            return error
        return {"block": block} | {name: value for name, value in batch.items() if name not in self._layout}


def _ignore_signals(_: int) -> None:
    """Ignore signals that Slurm and terminals send to every process: the training process ends its workers."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _unchanged(item: dict[str, Any] | UserError) -> dict[str, Any] | UserError:
    return item
