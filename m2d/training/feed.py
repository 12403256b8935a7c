"""From stores to the objective's inputs: what is read, how it gets to the device, what is done to it there."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from m2d.audio.noise import mix_noise
from m2d.common.errors import UserError
from m2d.data.dataset import Batch, PretrainDataset, decode_teacher
from m2d.data.memory import Layout
from m2d.data.randomness import uniform
from m2d.data.store import PackedStore
from m2d.training.config import PretrainConfig

MASKS = 1 << 62
"""Added to the seed for masks, so that they do not share their random numbers with the crops."""


class Statistics(NamedTuple):
    """Scalar mean and deviation of the log-mels, and the mean of the noise's (natural log of power)."""

    mean: float
    std: float
    noise_mean: float


class Inputs(NamedTuple):
    """The arguments of an objective, on the device."""

    x: Tensor  # [B, 1, F, T] float32, mixed and normalised
    teacher: Tensor | None  # [B, T // 2, W] frames of clean speech at 50 Hz
    teacher_frames: Tensor | None  # [B] how many of them are real
    mask_noise: Tensor  # [B, L]


class MaskedDataset(PretrainDataset):
    """Crops together with `mask_noise` float32 `[B, L]`, which depends on (seed, epoch, index) alone as they do.

    So masks do not depend on the number of ranks, nor on the state of a generator.
    """

    n_patches: int

    def layout(self, size: int) -> Layout:
        """The tensors of a batch of `size` samples."""
        return {**super().layout(size), "mask_noise": ((size, self.n_patches), torch.float32)}

    def fill(self, batch: Batch, epoch: int, indices: np.ndarray) -> Batch:
        """Read the samples `indices` `[B]` of an epoch into the tensors of `layout(B)`, and return them."""
        batch["mask_noise"].numpy()[:] = uniform(self.seed + MASKS, epoch, indices, self.n_patches)
        return super().fill(batch, epoch, indices)


class Feed:
    """The training and validation sets of a run, and their way to the device.

    Raises `UserError` for a store that is not there, is broken, or does not fit the model.
    """

    def __init__(self, config: PretrainConfig, device: torch.device):
        self.config, self.device = config, device
        data = config.data
        noise = PackedStore(data.noise) if data.noise_ratio > 0 else None
        self.train = self._dataset(data.speech, data.teacher, noise)
        self.valid = self._dataset(data.valid, data.valid_teacher, noise) if data.valid else None
        self.statistics = Statistics(
            _statistic(data.mean, data.speech, "mean"), _statistic(data.std, data.speech, "std"),
            _statistic(data.noise_mean, data.noise, "mean") if noise else 0.0)
        if not all(map(math.isfinite, self.statistics)) or self.statistics.std <= 0:
            stores = f"{data.speech} and {data.noise}" if noise else data.speech
            raise UserError(f"{self.statistics}: nothing can be normalised by these: look at stats.json in {stores}, "
                            "or give data.mean, data.std, data.noise_mean")

    def _dataset(self, speech: str, teacher: str | None, noise: PackedStore | None) -> MaskedDataset:
        model = self.config.model
        stores = PackedStore(speech), PackedStore(teacher) if teacher else None
        for store, width, name in ((stores[0], model.input_size[0], "model.input_size[0]"),
                                   (stores[1], model.teacher_width, "model.teacher_width")):
            if store is not None and store.width != width:
                raise UserError(f"{store.directory}: frames are {store.width} wide, but {name} is {width}")
        dataset = MaskedDataset(stores[0], model.input_size[1], model.patch_size[1], stores[1], noise,
                                self.config.run.seed)
        dataset.n_patches = model.encoder.grid.n_patches
        return dataset

    def on_device(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, float]]:
        """Batches with their tensors on the device, and the seconds that were waited for each to be read.

        On a GPU the next batch is copied, on a stream of its own, while this one is worked on.
        """
        if self.device.type != "cuda":
            yield from _timed(batches)
            return
        copies, ahead = torch.cuda.Stream(self.device), None
        for batch, waited in _timed(batches):
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

    def copied(self, batch: Batch) -> Batch:
        """The batch with its tensors on the device."""
        return {key: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value
                for key, value in batch.items()}

    def inputs(self, batch: Batch) -> Inputs:
        """Mix noise, normalise and decode a batch, where it lies (M2D-S, section 3.3)."""
        mean, std, noise_mean = self.statistics
        x = mix_noise(batch["logmel"], batch.get("noise"), self.config.data.noise_ratio, mean, std, noise_mean)
        x = x.transpose(1, 2).unsqueeze(1)  # [B, T, F] -> [B, 1, F, T]
        teacher = decode_teacher(batch) if "teacher" in batch else None
        return Inputs(x, teacher, batch.get("teacher_valid"), batch["mask_noise"])

    def validation(self, batch_size: int, rank: int, ranks: int) -> Iterator[Batch]:
        """The rank's share of the validation set, on the device: the same crops, noise and masks every time."""
        share = np.arange(rank, len(self.valid), ranks)
        for start in range(0, len(share), batch_size):
            yield self.copied(self.valid[0, share[start:start + batch_size]])


def _statistic(given: float | None, store: str, name: str) -> float:
    if given is not None:
        return given
    path = Path(store) / "stats.json"
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))[name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no statistics can be read there ({error}): run m2d.bin.merge_features on {store}, "
                        "or give data.mean, data.std and, with noise, data.noise_mean") from None


def _timed(batches: Iterable[Batch]) -> Iterator[tuple[Batch, float]]:
    start = time.monotonic()
    for batch in batches:
        yield batch, time.monotonic() - start
        start = time.monotonic()
