"""Frame features of a frozen model: the teacher, or "offline network", of M2D-S (M2D-S paper, section 3.3).

One module per kind of teacher, found by the `model_type` in a model's config.json, or by name where it has no files.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from m2d.common.registry import Registry
from m2d.teacher.source import read_config


class Teacher(nn.Module, ABC):
    """Waveforms to frames. A clip's frames do not depend on what else is in the batch."""

    width: int  # W
    rate: float  # frames per second: row i stands for the audio from i / rate seconds
    sample_rate: int  # of the waveforms, Hz
    layer: int | None  # whose output the frames are, counted from 1; None for a teacher without layers

    @classmethod
    @abstractmethod
    def load(cls, model: str, layer: int | None) -> "Teacher":
        """The teacher of a folder or hub id, cut after `layer` (None: its default). `UserError` for neither there."""

    @abstractmethod
    def frame_count(self, samples: int) -> int:
        """Number of rows for a clip of `samples` samples; 0 for one that is too short."""

    @abstractmethod
    def forward(self, wavs: Sequence[Tensor]) -> list[Tensor]:
        """Frames `[T_i, W]` of B clips `[N_i]`, float32 at `sample_rate`, any device; autocast for half precision."""


TEACHERS: Registry[type[Teacher]] = Registry("kind of teacher", __name__)


def load_teacher(model: str, layer: int | None = None) -> Teacher:
    """The frozen teacher that `model` names: a folder, a hub id, a checkpoint file of M2D, or a kind without files.

    Raises `UserError` as `Teacher.load` does, and for a model type that has no teacher.
    """
    path = Path(model).expanduser()
    if path.is_file():
        kind = "m2d"
    elif not path.exists() and model in TEACHERS:
        kind = model
    else:
        kind = str(read_config(model).get("model_type"))
    return TEACHERS.get(kind).load(model, layer).eval().requires_grad_(False)


def device_of(module: nn.Module) -> torch.device:
    """Device of a network's parameters."""
    return next(module.parameters()).device
