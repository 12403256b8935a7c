"""M2D-X: audio with a frozen M2D encoder as the offline teacher, run on each batch. No teacher features are stored."""

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from m2d.audio.logmel import normalise
from m2d.common.errors import UserError, errors_at
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.files import from_checkpoint, load_pretrained
from m2d.training.checkpoint import is_checkpoint, read_checkpoint
from m2d.training.data_modules import DATA_MODULES, Batch
from m2d.training.data_modules.online import OnlineTeacherData

if TYPE_CHECKING:
    from m2d.training.config import PretrainConfig, Settings


@DATA_MODULES.register("m2dx")
class M2DXData(OnlineTeacherData):
    """The data of further pre-training: an M2D model, by default `run.init_from`, teaches from stored log-mels.

    The teacher encodes all patches of the clean normalised log-mels; the student's input has noise mixed in.
    """

    def __init__(self, config: "PretrainConfig", device: torch.device):
        super().__init__(config, device)
        name = teacher_of(config)
        self.teacher = _load_teacher(name).to(device).requires_grad_(False)
        own, student = self.teacher.encoder.config, config.model.encoder
        if self.teacher.sample_rate != 16000 or own.input_size[0] != student.input_size[0]:
            raise UserError(f"{name}: can't teach: its log-mels have {own.input_size[0]} bins at "
                            f"{self.teacher.sample_rate} Hz, those of the run {student.input_size[0]} at 16000 Hz")
        if student.patch_size[1] % own.patch_size[1]:
            raise UserError(f"{name}: its patches are {own.patch_size[1]} frames long; those of the run, "
                            f"{student.patch_size[1]} frames (model.patch_size), must hold a whole number of them")
        model = dataclasses.replace(config.model, teacher_width=self.teacher.dim)
        self.config = dataclasses.replace(config, model=model)

    @classmethod
    def check_teacher(cls, config: "Settings") -> None:
        super().check_teacher(config)
        if not config.model.lambda_off > 0:
            raise ValueError("it needs model.lambda_off > 0, the weight of the loss on the teacher's frames")
        if not teacher_of(config):
            raise ValueError("it needs a teacher: give data.teacher=MODEL, or run.init_from")
        if config.data.teacher_layer is not None:
            raise ValueError("data.teacher_layer does not apply: its teacher is the whole encoder")

    def identity(self) -> dict[str, str]:
        return super().identity() | {"teacher": f"M2D encoder, content {self.teacher.digest()[:16]}"}

    def teach(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The model's frames `[B, T', N_F * D]` of the clean log-mels."""
        clean = normalise(batch["logmel"], self.statistics["mean"], self.statistics["std"]).transpose(1, 2)
        frames = self.teacher.encode(clean.unbind(), all_layers=False).frames
        return frames, torch.div(batch["valid"], self.teacher.encoder.config.patch_size[1], rounding_mode="floor")


def teacher_of(config: "Settings") -> str | None:
    """The name of the teacher's model."""
    return config.data.teacher or config.run.init_from


def _load_teacher(path: str) -> M2DFeatures:
    """The encoder at `path`: what `m2d.load_pretrained` takes, or a checkpoint of a run."""
    with errors_at(path):
        model = from_checkpoint(read_checkpoint(path)) if is_checkpoint(path) else load_pretrained(path)
    if not isinstance(model, M2DFeatures):
        raise UserError(f"{path}: a model of images, not of audio")
    return model
