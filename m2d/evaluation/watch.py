"""A probe of the encoder while it is pre-trained: kNN and a linear layer on a small labelled task.

Trained on the task's training clips, measured on its validation clips; test clips are not read.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from m2d.audio.logmel import LogMel, LogMelConfig, normalise
from m2d.common.errors import UserError
from m2d.data.images.decode import centre_crop, read_image
from m2d.data.images.folder import read_list
from m2d.evaluation.clips import wave_batches
from m2d.evaluation.linear import LinearOptions, Split, divide, fit_linear
from m2d.evaluation.probe import knn
from m2d.evaluation.scores import main_score
from m2d.evaluation.task import Task
from m2d.nn.encoder import Encoder
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.images import ImageFeatures

NEIGHBOURS = 10
LINEAR = LinearOptions(lr=1e-3, epochs=100)
BATCH = 64
"""Samples that are read and encoded at a time."""


class Watch(ABC):
    """Scores of an encoder. What the encoder reads is made once and kept in memory: the task should be small."""

    def __init__(self, targets: np.ndarray, parts: np.ndarray, multilabel: bool, name: str):
        """`targets` are label weights `[N, C]`, `parts` `[N]` train or valid; without valid a tenth validates."""
        split = divide(targets, parts, "test", seed=0)
        if not len(split.train) or not len(split.valid):
            raise UserError(f"{name}: no clips are left to train and validate a probe on")
        self.targets, self.multilabel = targets, multilabel
        self.split = Split(split.train, split.valid, split.valid)
        self._inputs: Tensor | None = None

    def __call__(self, encoder: Encoder, statistics: dict[str, Any]) -> dict[str, float]:
        """`knn` and `linear` in % (accuracy, or mAP of a multi-label task) of an encoder in evaluation mode.
        `statistics` normalise its input. The state of torch's global generator is as before.
        """
        with torch.random.fork_rng(devices=[]):
            if self._inputs is None:
                self._inputs = torch.cat(list(self.read(encoder)))
            with torch.inference_mode():
                vectors = torch.cat([self.embed(encoder, statistics, batch.to(encoder.cls_token.device)).float().cpu()
                                     for batch in self._inputs.split(BATCH)])
            neighbours = Split(self.split.train, np.empty(0, int), self.split.test)
            votes = knn(vectors, self.targets, neighbours, NEIGHBOURS)
            score = main_score(self.targets[self.split.valid], votes, self.multilabel)
            fit = fit_linear(vectors, torch.from_numpy(self.targets), self.split, LINEAR.lr, LINEAR, 0, self.multilabel)
            return {"knn": 100 * score, "linear": 100 * fit.score}

    @abstractmethod
    def read(self, encoder: Encoder) -> Iterator[Tensor]:
        """Batches of what `embed` takes."""

    @abstractmethod
    def embed(self, encoder: Encoder, statistics: dict[str, Any], batch: Tensor) -> Tensor:
        """A vector of each sample `[B, D]`."""


class SoundWatch(Watch):
    """Clips of a prepared task; of folds the first is the test part."""

    def __init__(self, folder: Path):
        self.task = Task.read(folder)
        tested = self.task.parts[0] if self.task.has_folds else "test"
        self.task.clips = [clip for clip in self.task.clips if clip.part != tested]
        parts = np.array([clip.part if clip.part == "valid" else "train" for clip in self.task.clips])
        super().__init__(self.task.targets(), parts, self.task.multilabel, self.task.title)

    def read(self, encoder: Encoder) -> Iterator[Tensor]:
        """Raw log-mels `[B, F, T]` float16; of a clip that can't be read they are those of silence."""
        logmel = LogMel(LogMelConfig(n_mels=encoder.config.input_size[0]))
        for waves, _ in wave_batches(self.task, self.task.clips, logmel.config.sample_rate, BATCH, workers=0):
            yield logmel(waves).half()

    def embed(self, encoder: Encoder, statistics: dict[str, Any], batch: Tensor) -> Tensor:
        front_end = LogMelConfig(n_mels=encoder.config.input_size[0])
        model = M2DFeatures(encoder, front_end, statistics["mean"], statistics["std"])
        return model.encode(normalise(batch, model.mean, model.std).unbind(), all_layers=False).clip


class ImageWatch(Watch):
    """The images of a list (`m2d.bin.index_images`), with its labels."""

    def __init__(self, folder: Path):
        self.images = read_list(folder)
        targets = np.eye(len(self.images.classes), dtype=np.float32)[self.images.labels]
        super().__init__(targets, np.full(len(targets), "train"), False, str(folder))

    def read(self, encoder: Encoder) -> Iterator[Tensor]:
        view = centre_crop(encoder.config.input_size[0])
        for index in range(len(self.images.paths)):
            yield view(read_image(self.images.path(index)))[None]

    def embed(self, encoder: Encoder, statistics: dict[str, Any], batch: Tensor) -> Tensor:
        return ImageFeatures(encoder, statistics["mean"], statistics["std"])(batch).image


def open_watch(folder: str) -> Watch:
    """The probe of a prepared task, or of a list of labelled images. Raises `UserError` for another folder."""
    path = Path(folder)
    return ImageWatch(path) if (path / "images.json").is_file() else SoundWatch(path)
