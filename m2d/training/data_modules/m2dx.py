"""M2D-X: audio with a frozen M2D encoder as the offline teacher, run on each batch. No teacher features are stored."""

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from m2d.audio.logmel import normalise
from m2d.common.errors import UserError
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.files import from_checkpoint, load_pretrained
from m2d.training.checkpoint import is_checkpoint, read_checkpoint
from m2d.training.data_modules import DATA_MODULES, Batch
from m2d.training.data_modules.audio import AudioData

if TYPE_CHECKING:
    from m2d.training.config import PretrainConfig, Settings


@DATA_MODULES.register("m2dx")
class M2DXData(AudioData):
    """The data of further pre-training: as `AudioData`, but `data.teacher` is a model, by default `run.init_from`.

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
        if not config.model.lambda_off > 0:
            raise ValueError("it needs model.lambda_off > 0, the weight of the loss on the teacher's frames")
        if not teacher_of(config):
            raise ValueError("it needs a teacher: give data.teacher=MODEL, or run.init_from")
        for name in ("more_teachers", "valid_teacher"):
            if getattr(config.data, name):
                raise ValueError(f"data.{name} does not apply: its teacher is a model")

    @classmethod
    def stores(cls, config: "Settings") -> list[str]:
        return [name for name in super().stores(config) if name != "teacher"]

    def identity(self) -> dict[str, str]:
        return super().identity() | {"teacher": f"M2D encoder, content {self.teacher.digest()[:16]}"}

    def inputs(self, batch: Batch) -> dict[str, Tensor]:
        """As the base class; `teacher` `[B, T', N_F * D]` are the frames of the clean log-mels."""
        clean = normalise(batch["logmel"], self.statistics["mean"], self.statistics["std"]).transpose(1, 2)
        bf16 = self.config.run.dtype == "bf16"
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            frames = self.teacher.encode(clean.unbind(), all_layers=False).frames
        per_frame = self.teacher.encoder.config.patch_size[1]
        real = torch.div(batch["valid"], per_frame, rounding_mode="floor")
        return super().inputs(batch) | {"teacher": frames, "teacher_frames": real}

    def _teacher_stores(self) -> tuple[list[str | None], str | None]:
        return [None] * (1 + len(self.config.data.more)), None


def teacher_of(config: "Settings") -> str | None:
    """The name of the teacher's model."""
    return config.data.teacher or config.run.init_from


def _load_teacher(path: str) -> M2DFeatures:
    """The encoder at `path`: what `m2d.load_pretrained` takes, or a checkpoint of a run."""
    model = from_checkpoint(read_checkpoint(path)) if is_checkpoint(path) else load_pretrained(path)
    if not isinstance(model, M2DFeatures):
        raise UserError(f"{path}: a model of images, not of audio")
    return model
