"""The log-mel itself as teacher: distillation without a model."""

from collections.abc import Sequence

import torch
from torch import Tensor

from m2d.audio.logmel import LogMel
from m2d.common.errors import UserError
from m2d.teacher import TEACHERS, Teacher


@TEACHERS.register("logmel")
class LogMelTeacher(Teacher):
    """Raw log-mels of the published models' front end, 100 Hz."""

    def __init__(self):
        super().__init__()
        self.logmel, self.layer = LogMel(), None
        config = self.logmel.config
        self.width, self.sample_rate = config.n_mels, config.sample_rate
        self.rate = config.sample_rate / config.hop_length

    @classmethod
    def load(cls, model: str, layer: int | None = None) -> "LogMelTeacher":
        if layer is not None:
            raise UserError(f"layer={layer} does not apply to model={model}: give layer=null")
        return cls()

    def frame_count(self, samples: int) -> int:
        return self.logmel.frames(samples)

    @torch.no_grad()
    def forward(self, wavs: Sequence[Tensor]) -> list[Tensor]:
        return [self.logmel(wav.to(self.logmel.window.device)).T for wav in wavs]
