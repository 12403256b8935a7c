"""Batches read ahead by worker processes, and what is said when one of them fails."""

from __future__ import annotations

import atexit
import signal
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from m2d.common.errors import UserError
from m2d.data.dataset import Batch, PretrainDataset
from m2d.data.sampler import GlobalSampler


class PretrainLoader:
    """Batches of a dataset in a sampler's order, read ahead by `workers` processes (0: by this one).

    Iteration, one at a time, follows the sampler to the end of its last epoch. Raises `UserError` that names the file
    when data can't be read, and the data when a worker dies.
    """

    def __init__(self, dataset: PretrainDataset, sampler: GlobalSampler, workers: int = 0, *, pin_memory: bool = False,
                 prefetch: int = 4):
        self.dataset, self.sampler = dataset, sampler
        self._loader = DataLoader(
            _ErrorsAsItems(dataset), batch_size=None, sampler=sampler, num_workers=workers, pin_memory=pin_memory,
            collate_fn=_unchanged, prefetch_factor=prefetch if workers else None, worker_init_fn=_ignore_signals,
            generator=torch.Generator())  # its own: the loader's draws must not move the run's generator
        self._batches: Iterator[Batch | UserError] | None = None
        atexit.register(_close, weakref.ref(self))

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        self._batches = iter(self._loader)
        try:
            while (batch := next(self._batches, None)) is not None:
                if isinstance(batch, UserError):
                    raise batch
                yield batch
        except (RuntimeError, EOFError, ConnectionError) as error:
            if not is_worker_death(error):
                raise
            raise worker_death(self.dataset.speech.directory, error) from error
        finally:
            self._batches = None


def _close(loader: weakref.ref[PretrainLoader]) -> None:
    """End workers that an error has left alive: at exit Python signals its children, these ignore it, and it waits."""
    if loader() is not None:
        loader()._batches = None


def is_worker_death(error: Exception) -> bool:
    """Whether torch's loader says that a worker process died.

    It says so in a signal handler, at any moment, or by a broken connection when a batch was just being handed over.
    """
    return not isinstance(error, RuntimeError) or "DataLoader worker" in str(error)


def worker_death(data: str | Path, error: Exception) -> UserError:
    """The death of a worker, in words that say what to do."""
    return UserError(f"{data}: a worker reading it died ({' '.join(str(error).split())}): often for want of memory or "
                     "room in /dev/shm; use fewer workers or a smaller batch")


class _ErrorsAsItems(Dataset):
    """Hands a `UserError` over as an item: raised in a worker it would arrive wrapped in a page of traceback."""

    def __init__(self, dataset: PretrainDataset):
        self._dataset = dataset

    def __getitem__(self, key: tuple[int, np.ndarray]) -> Batch | UserError:
        try:
            return self._dataset[key]
        except UserError as error:
            return error


def _ignore_signals(_: int) -> None:
    """Slurm and terminals signal every process of a job; the training process alone decides when its workers end."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _unchanged(batch: Batch | UserError) -> Batch | UserError:
    return batch
