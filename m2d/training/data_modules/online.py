"""A frozen network as the teacher of audio, run on each batch on the device: no teacher features are stored."""

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from m2d.training.data_modules import Batch
from m2d.training.data_modules.audio import AudioData

if TYPE_CHECKING:
    from m2d.training.config import Settings


class OnlineTeacherData(AudioData):
    """As `AudioData`, but `data.teacher` is a model. Subclasses set `teacher`, frozen and on the device."""

    teacher: nn.Module | None  # None: nothing is distilled

    @classmethod
    def check_teacher(cls, config: "Settings") -> None:
        """Raise ValueError for stores of teacher frames."""
        for name in ("more_teachers", "valid_teacher"):
            if getattr(config.data, name):
                raise ValueError(f"data.{name} does not apply: its teacher is a model")

    @classmethod
    def stores(cls, config: "Settings") -> list[str]:
        """The teacher needs none."""
        return [name for name in super().stores(config) if name != "teacher"]

    def inputs(self, batch: Batch) -> dict[str, Tensor]:
        """As the base class, with the frames of `teach`; the teacher computes in the precision of the run."""
        inputs = super().inputs(batch)
        if self.teacher is None:
            return inputs
        bf16 = self.config.run.dtype == "bf16"
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            frames, real = self.teach(batch)
        return inputs | {"teacher": frames, "teacher_frames": real}

    @abstractmethod
    def teach(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Frames `[B, T', W]` of the batch's clean crops, and how many of each are real, `[B]`."""

    def _teacher_stores(self) -> tuple[list[str | None], str | None]:
        return [None] * (1 + len(self.config.data.more)), None
