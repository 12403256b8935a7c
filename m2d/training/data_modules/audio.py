"""Audio: crops of stored log-mels, teacher frames and noise; mixed, normalised and decoded on the device."""

import dataclasses
import logging
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from m2d.audio.noise import mix_noise
from m2d.audio.statistics import Moments
from m2d.common.errors import UserError
from m2d.data.dataset import PretrainDataset
from m2d.data.mixture import Mixture
from m2d.data.store import PackedStore
from m2d.training.data_modules import DATA_MODULES, Batch, DataModule, Picture, read_stats

if TYPE_CHECKING:
    from m2d.training.config import PretrainConfig, Settings

LOG = logging.getLogger(__name__)
FRAMES_PER_S = 100
SAME = 0.01
"""Statistics that differ by a smaller share count as equal: published ones are rounded."""


@DATA_MODULES.register("audio")
class AudioData(DataModule):
    """Packed stores of log-mels, for `noise_ratio` > 0 also of noise, for `lambda_off` > 0 of teacher frames.

    Several corpora (`more`) each have a share of every epoch.

    `statistics` are the scalar mean and deviation of the log-mels (natural log of power).
    """

    def __init__(self, config: "PretrainConfig", device: torch.device):
        super().__init__(config, device)
        data = config.data
        noise = self._noise() if data.noise_ratio > 0 else None
        teachers, valid_teacher = self._teacher_stores()
        self.parts = [self._dataset(speech, teacher, noise)
                      for speech, teacher in zip([data.speech, *data.more], teachers, strict=True)]
        if self.parts[0].teacher is not None:
            model = dataclasses.replace(config.model, teacher_width=self.parts[0].teacher.width)
            self.config = dataclasses.replace(config, model=model)
        shares = [part.total_frames for part in self.parts] if data.by_hours else data.weights
        mixture = Mixture(self.parts, shares or [len(part) for part in self.parts], config.run.seed,
                          data.epoch_samples)
        is_list = len(self.parts) == 1 and len(mixture) == len(self.parts[0])
        self.train = self.parts[0] if is_list else mixture
        self.valid = self._dataset(data.valid, valid_teacher, noise) if data.valid else None
        self.train_size, self.valid_size = len(self.train), len(self.valid or ())
        self.statistics = self._statistics(mixture.counts)
        self.noise_mean = _statistic(data.noise_mean, data.noise, "mean") if noise else 0.0
        if not all(map(math.isfinite, (*self.statistics.values(), self.noise_mean))) or self.statistics["std"] <= 0:
            stores = f"{data.speech} and {data.noise}" if noise else data.speech
            raise UserError(f"log-mels can't be normalised by mean {self.statistics['mean']}, deviation "
                            f"{self.statistics['std']}, noise mean {self.noise_mean}: look at stats.json in {stores}, "
                            "or give data.mean, data.std, data.noise_mean")

    @classmethod
    def check(cls, config: "Settings") -> None:
        data = config.data
        if not data.speech:
            raise ValueError("option 'data.speech' has no default: give it as data.speech=STORE")
        if data.noise_ratio > 0 and not data.noise:
            raise ValueError(f"data.noise_ratio={data.noise_ratio} needs data.noise, a store of noise log-mels")
        if data.noise_mean is not None and not data.noise:
            raise ValueError("data.noise_mean does not apply without data.noise")
        if data.weights and (data.by_hours or len(data.weights) != 1 + len(data.more)):
            raise ValueError(f"data.weights={data.weights}: give a share for data.speech and for each of the "
                            f"{len(data.more)} stores of data.more, and not data.by_hours with it")
        cls.check_teacher(config)
        if config.model.in_channels != 1:
            raise ValueError(f"model.in_channels={config.model.in_channels}: log-mels have one channel")

    @classmethod
    def check_teacher(cls, config: "Settings") -> None:
        """Raise ValueError for stores of teacher frames that are missing or have no use."""
        data, distils = config.data, config.model.lambda_off > 0
        if data.teacher_layer is not None:
            raise ValueError("data.teacher_layer does not apply: its teacher is a store")
        if len(data.more_teachers) != (len(data.more) if distils else 0):
            raise ValueError(f"data.more_teachers={data.more_teachers}: with model.lambda_off > 0 each of the "
                            f"{len(data.more)} stores of data.more has its store of teacher frames, otherwise none")
        for name, path, wanted in (("data.teacher", data.teacher, distils),
                                   ("data.valid_teacher", data.valid_teacher, distils and bool(data.valid))):
            if wanted and not path:
                raise ValueError(f"model.lambda_off={config.model.lambda_off} needs {name}, a store of teacher frames")
            if path and not wanted:
                raise ValueError(f"{name} does not apply: " + ("there is no data.valid" if distils
                                                             else "model.lambda_off is 0"))

    @classmethod
    def stores(cls, config: "Settings") -> list[str]:
        return ["speech", *(["noise"] if config.data.noise_ratio > 0 else []),
                *(["teacher"] if config.model.lambda_off > 0 else [])]

    def identity(self) -> dict[str, str]:
        """Size and digest of each store's content, and the statistics that were read from stores."""
        stores = {"noise": self.parts[0].noise}
        for number, part in enumerate(self.parts, 1):
            suffix = f" {number}" if number > 1 else ""
            stores |= {f"speech{suffix}": part.speech, f"teacher{suffix}": part.teacher}
        if self.valid is not None:
            stores |= {"valid": self.valid.speech, "valid_teacher": self.valid.teacher}
        found = {name: f"{len(store)} utterances, content {store.content}"
                 for name, store in stores.items() if store is not None}
        statistics = {**self.statistics, "noise_mean": self.noise_mean}
        return found | {name: f"{value:.9g}" for name, value in statistics.items()
                        if getattr(self.config.data, name) is None}

    def inputs(self, batch: Batch) -> dict[str, Tensor]:
        """`x` `[B, 1, F, T]` float32, mixed and normalised (M2D-S, section 3.3); `mask_noise` `[B, L]`.

        For distillation also `teacher` `[B, T', W]`, frames of the clean speech, and `teacher_frames` `[B]`, how many
        of them are real.
        """
        x = mix_noise(batch["logmel"], batch.get("noise"), self.config.data.noise_ratio,
                      self.statistics["mean"], self.statistics["std"], self.noise_mean)
        inputs = {"x": x.transpose(1, 2).unsqueeze(1), "mask_noise": batch["mask_noise"]}  # [B, T, F] -> [B, 1, F, T]
        if "teacher" in batch:
            inputs |= {"teacher": decode_teacher(batch), "teacher_frames": batch["teacher_valid"]}
        return inputs

    def picture(self, x: Tensor) -> Picture:
        return Picture(x[0].cpu().numpy(), "lower", "seconds", "mel bin", FRAMES_PER_S)

    def warn_of_statistics(self, seen: dict[str, Any], origin: str) -> None:
        own = self.statistics
        if not all(math.isclose(seen[name], own[name], rel_tol=SAME) for name in own):
            LOG.warning("%s learnt from log-mels normalised by mean %.4g and deviation %.4g, this run normalises by "
                        "%.4g and %.4g (data.mean and data.std, or else stats.json of data.speech): data.mean=%.4g "
                        "data.std=%.4g would keep to the former", origin, *seen.values(), *own.values(), *seen.values())

    def _statistics(self, counts: list[int]) -> dict[str, float]:
        """Mean and deviation of what is trained on: each store's own, weighted by its samples."""
        data = self.config.data
        if len(self.parts) == 1 or (data.mean is not None and data.std is not None):
            return {name: _statistic(getattr(data, name), data.speech, name) for name in ("mean", "std")}
        moments = Moments()
        for store, count in zip([data.speech, *data.more], counts, strict=True):
            mean, std = (_statistic(None, store, name) for name in ("mean", "std"))
            moments += Moments(count, count * mean, count * (std**2 + mean**2))
        return {name: value if given is None else given
                for name, value, given in (("mean", moments.mean, data.mean), ("std", moments.std, data.std))}

    def _teacher_stores(self) -> tuple[list[str | None], str | None]:
        """The stores of teacher frames: of each store that is trained on, and of the held-out one."""
        data = self.config.data
        teachers = [data.teacher, *data.more_teachers] if data.teacher else [None] * (1 + len(data.more))
        return teachers, data.valid_teacher

    def _noise(self) -> PackedStore:
        return PackedStore(self.config.data.noise)

    def _dataset(self, speech: str, teacher: str | None, noise: PackedStore | None) -> PretrainDataset:
        model = self.config.model
        stores = PackedStore(speech), PackedStore(teacher) if teacher else None
        for store, width, name in ((stores[0], model.input_size[0], "model.input_size[0]"),
                                   (stores[1], model.teacher_width, "model.teacher_width")):
            if store is not None and width is not None and store.width != width:
                raise UserError(f"{store.directory}: frames are {store.width} wide, but {name} is {width}")
        return PretrainDataset(stores[0], model.input_size[1], model.patch_size[1], stores[1], noise,
                               self.config.run.seed, n_patches=model.encoder.grid.n_patches)


def decode_teacher(batch: Batch) -> Tensor:
    """Teacher frames `[B, T', W]` float32 of a batch, on the device it is on, scaled when they are int8."""
    frames = batch["teacher"].float()
    return frames * batch["teacher_scale"].float()[..., None] if "teacher_scale" in batch else frames


def _statistic(given: float | None, store: str, name: str) -> float:
    return read_stats(store, name, f"run m2d.bin.merge_features on {store}, or give data.mean, data.std and, with "
                                   "noise, data.noise_mean") if given is None else given
