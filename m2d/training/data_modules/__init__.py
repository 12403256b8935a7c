"""Data modules: one module per kind of data, found by its name (`data.kind`).

The loop, checkpoints and figures use this interface only.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from m2d.common.errors import UserError
from m2d.common.files import read_json
from m2d.common.registry import Registry
from m2d.data.loader import PretrainLoader, default_workers
from m2d.data.sampler import GlobalSampler
from m2d.nn import build_objective

if TYPE_CHECKING:  # the options are checked by the modules
    from m2d.training.config import PretrainConfig, Settings

Batch = dict[str, Any]
"""Tensors whose first axis is the sample, and `ids`, the list of the samples' names."""


class Picture(NamedTuple):
    """One input as figures show it, row 0 first."""

    values: np.ndarray  # [F, T], or [F, T, 3] colours in 0..1
    origin: str  # where row 0 is: lower, upper
    x_label: str
    y_label: str
    x_scale: float  # columns per unit of the x axis


class DataModule(ABC):
    """Training and validation data of a run, and their way to the objective's inputs on the device.

    A sample depends on (seed, epoch, index) alone, whatever the number of ranks, workers and earlier steps: that makes
    resuming exact. The constructor raises `UserError` for data that are not there, are broken, or do not fit the model.
    """

    train_size: int  # samples of an epoch
    valid_size: int  # held-out samples; 0: no validation
    train: Any  # a dataset whose item (epoch, indices `[B]`) is a batch, with `layout` and `fill` for the loader
    valid: Any  # the same of the held-out samples; None: no validation
    statistics: dict[str, Any]  # what inputs are normalised by, kept in checkpoints
    config: "PretrainConfig"  # with what the data decide filled in

    def __init__(self, config: "PretrainConfig", device: torch.device):
        self.config, self.device = config, device
        workers = config.data.workers
        self.workers = default_workers() if workers is None else workers  # loader processes of this rank

    @classmethod
    @abstractmethod
    def check(cls, config: "Settings") -> None:
        """Raise ValueError for options that do not fit together, before anything is read."""

    @classmethod
    def stores(cls, config: "Settings") -> list[str]:
        """Which stores of audio a run of these settings reads: of speech, noise, teacher."""
        return []

    def build_objective(self) -> nn.Module:
        """What is trained on these data, freshly initialised: the objective that the options name."""
        return build_objective(self.config.model)

    @abstractmethod
    def identity(self) -> dict[str, str]:
        """What the data are, wherever they lie: a short text for each part. A run goes on with equal data only."""

    def load(self, sampler: GlobalSampler) -> Iterable[Batch]:
        """The training batches in the order of the sampler, on the host, read ahead by `data.workers` processes."""
        return PretrainLoader(self.train, sampler, self.workers, pin_memory=self.device.type == "cuda")

    def load_valid(self, indices: np.ndarray) -> Batch:
        """The held-out samples `indices` `[B]`, on the host: the same crops, noise and masks every time."""
        return self.valid[0, indices]

    def example(self) -> Batch:
        """One sample, held out where there are such, on the host."""
        return (self.valid or self.train)[0, np.arange(1)]

    @abstractmethod
    def inputs(self, batch: Batch) -> dict[str, Tensor]:
        """The keyword arguments of the objective, from a batch that is on the device."""

    @abstractmethod
    def picture(self, x: Tensor) -> Picture:
        """One input `[C, F, T]` of the objective, to be drawn."""

    def warn_of_statistics(self, seen: dict[str, Any], origin: str) -> None:  # noqa: B027
        """Warn where weights from `origin` learnt from inputs normalised by other statistics."""

    def training_batches(self, sampler: GlobalSampler) -> Iterator[tuple[Batch, float]]:
        """The batches of `load` on the device, copied ahead on a GPU, and the seconds that were waited for each."""
        batches = _timed(self.load(sampler))
        if self.device.type != "cuda":
            yield from batches
            return
        copies, ahead = torch.cuda.Stream(self.device), None
        for batch, waited in batches:
            with torch.cuda.stream(copies):
                batch = self.copied(batch)
            if ahead is not None:
                yield ahead
            torch.cuda.current_stream().wait_stream(copies)
            for value in batch.values():
                if isinstance(value, Tensor):
                    value.record_stream(torch.cuda.current_stream())
            ahead = batch, waited
        if ahead is not None:
            yield ahead

    def validation_batches(self, batch_size: int, rank: int, ranks: int) -> Iterator[Batch]:
        """The rank's share of the held-out samples, on the device."""
        share = np.arange(rank, self.valid_size, ranks)
        for start in range(0, len(share), batch_size):
            yield self.copied(self.load_valid(share[start:start + batch_size]))

    def copied(self, batch: Batch) -> Batch:
        """The batch with its tensors on the device."""
        return {key: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value
                for key, value in batch.items()}


DATA_MODULES: Registry[type[DataModule]] = Registry("kind of data", __name__)


def open_data(config: "PretrainConfig", device: torch.device) -> DataModule:
    """The data module of a run. Raises `UserError` for data that are not there, are broken, or do not fit."""
    return DATA_MODULES.get(config.data.kind)(config, device)


def read_stats(folder: str, name: str, advice: str) -> Any:
    """An entry of a folder's stats.json. Raises `UserError`, with the advice, where it can't be read."""
    path = Path(folder) / "stats.json"
    try:
        return read_json(path)[name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no statistics can be read there ({error}): {advice}") from None


def _timed(batches: Iterable[Batch]) -> Iterator[tuple[Batch, float]]:
    start = time.monotonic()
    for batch in batches:
        yield batch, time.monotonic() - start
        start = time.monotonic()
