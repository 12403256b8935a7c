"""Audio on the fly: waveforms from data directories; log-mels and the teacher's frames are made on the device."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from m2d.audio.logmel import SILENCE, LogMel, LogMelConfig
from m2d.common.errors import UserError
from m2d.data.dataset import check_crop, check_logmel, frame_ratio, place, usable_frames
from m2d.data.extract import like_lengths
from m2d.data.format import is_store
from m2d.data.store import PackedStore
from m2d.data.wave_dataset import SAMPLE_RATE, WaveDataset, WaveDir
from m2d.pretrained.features import weights_digest
from m2d.teacher import load_teacher
from m2d.training.data_modules import DATA_MODULES, Batch
from m2d.training.data_modules.online import OnlineTeacherData

if TYPE_CHECKING:
    from m2d.training.config import PretrainConfig, Settings

TEACHER_SECONDS = 240.0
"""Audio that the teacher hears at a time, padding included: bounds its memory."""


@DATA_MODULES.register("waves")
class WaveData(OnlineTeacherData):
    """The samples of `AudioData` without its stores: speech and held-out speech are data directories.

    The noise is a data directory or a store of log-mels. The teacher, any of `m2d.teacher`, hears whole clips, as it
    does where its frames are stored, and the log-mels are rounded to float16, as stores are: crops, noise, masks and
    losses are those of the stored way, to rounding.
    """

    def __init__(self, config: "PretrainConfig", device: torch.device):
        data, model = config.data, config.model
        self.logmel = LogMel(LogMelConfig(n_mels=model.input_size[0]))
        for name, source in (("mean", data.speech), ("std", data.speech), ("noise_mean", data.noise)):
            if source and getattr(data, name) is None and not is_store(source):
                raise UserError(f"{source}: a data directory has no statistics: give data.{name}, of stats.json of the "
                                "log-mels of a part of it")
        super().__init__(config, device)
        self.teacher = None
        if model.lambda_off > 0:
            self.teacher = load_teacher(data.teacher, data.teacher_layer).to(device)
            self.ratio = frame_ratio(data.teacher, self.teacher.rate, model.patch_size[1])
            if self.teacher.sample_rate != SAMPLE_RATE:
                raise UserError(f"{data.teacher}: hears {self.teacher.sample_rate} Hz, not {SAMPLE_RATE}")
            self.config = dataclasses.replace(
                config, model=dataclasses.replace(model, teacher_width=self.teacher.width))

    @classmethod
    def check_teacher(cls, config: "Settings") -> None:
        super().check_teacher(config)
        data, distils = config.data, config.model.lambda_off > 0
        if distils and not data.teacher:
            raise ValueError(f"model.lambda_off={config.model.lambda_off} needs data.teacher, a model")
        if not distils and data.teacher:
            raise ValueError("data.teacher does not apply: model.lambda_off is 0")

    @classmethod
    def stores(cls, config: "Settings") -> list[str]:
        """Speech needs none either."""
        return [name for name in super().stores(config) if name != "speech"]

    def identity(self) -> dict[str, str]:
        """As the base class; of the teacher its weights and layer."""
        if self.teacher is None:
            return super().identity()
        about = f"{type(self.teacher).__name__}, layer {self.teacher.layer}"
        return super().identity() | {"teacher": f"{about}, content {weights_digest(self.teacher, about)[:16]}"}

    def inputs(self, batch: Batch) -> dict[str, Tensor]:
        """As the base class."""
        return super().inputs(batch | self._crops(batch))

    def teach(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The teacher's frames of the clips, cut to the crops."""
        samples, rows = batch["samples"], int(self.config.model.input_size[1] * self.ratio)
        waves = batch["wave"].split(samples)
        crops: list[Tensor] = [torch.empty(0)] * len(waves)
        for group in like_lengths({i: count / SAMPLE_RATE for i, count in enumerate(samples)}, TEACHER_SECONDS):
            for i, frames in zip(group, self.teacher([waves[i] for i in group]), strict=True):
                first = int(batch["starts"][i] * self.ratio)
                crops[i] = frames[first:first + rows].float()
        real = torch.tensor([len(crop) for crop in crops], device=self.device)
        return torch.stack([F.pad(crop, (0, 0, 0, rows - len(crop))) for crop in crops]), real

    def _crops(self, batch: Batch) -> dict[str, Any]:
        """`logmel` and `noise` float16 `[B, T, F]` where the clips' waveforms are given; `starts` `[B]` on the host."""
        crop_frames, patch_frames = self.config.model.input_size[1], self.config.model.patch_size[1]
        frames, ramp = self._frames(batch["samples"]), np.arange(crop_frames)
        usable = frames
        if self.teacher is not None:
            counts = np.array([self.teacher.frame_count(count) for count in batch["samples"]])
            if not counts.all():
                raise UserError(f"'{batch['ids'][int(counts.argmin())]}' is shorter than one frame of the teacher: "
                                "leave such utterances out (utils/subset_data_dir.sh --utt-list)")
            usable = usable_frames(frames, counts, self.ratio, patch_frames)
        starts = place(np.array(batch["places"]), usable - crop_frames + 1)
        at = starts[:, None] + ramp
        crops = {"starts": starts, "logmel": self._logmels(batch["wave"], batch["samples"], at, frames)}
        if "noise_wave" in batch:
            frames = self._frames(batch["noise_samples"])
            is_short = frames < crop_frames  # a short clip is repeated from a random frame on
            starts = place(np.array(batch["noise_places"]), np.where(is_short, frames, frames - crop_frames + 1))
            at = (starts[:, None] + ramp) % frames[:, None]
            crops["noise"] = self._logmels(batch["noise_wave"], batch["noise_samples"], at, frames)
        return crops

    def _frames(self, samples: list[int]) -> np.ndarray:
        return np.array([self.logmel.frames(count) for count in samples])

    def _logmels(self, waves: Tensor, samples: list[int], at: np.ndarray, frames: np.ndarray) -> Tensor:
        """Frames `at` `[B, T]` of the clips' log-mels, `[B, T, F]` float16; silence past their own `frames` `[B]`."""
        last, first = frames[:, None] - 1, (np.cumsum(frames) - frames)[:, None]
        rows = torch.cat([clip.T for clip in self.logmel.clips(waves.split(samples))])  # [sum of all frames, F]
        numbers, rest = (torch.from_numpy(array).to(self.device) for array in (first + np.minimum(at, last), at > last))
        return rows[numbers].half().masked_fill(rest[..., None], SILENCE)

    def _noise(self) -> PackedStore | WaveDir:
        noise = self.config.data.noise
        return super()._noise() if is_store(noise) else WaveDir(noise)

    def _dataset(self, speech: str, teacher: str | None, noise: PackedStore | WaveDir | None) -> WaveDataset:
        model = self.config.model
        check_crop(model.input_size[1], model.patch_size[1])
        if isinstance(noise, PackedStore):
            check_logmel(noise, model.input_size[0])
        return WaveDataset(WaveDir(speech), model.input_size[1], noise, self.config.run.seed,
                           n_patches=model.encoder.grid.n_patches)
