"""The networks and their objectives. Knows no files and no audio: channels and grid are parameters."""

from torch import nn

from m2d.nn.config import ModelConfig
from m2d.nn.losses import ObjectiveOutput
from m2d.nn.m2d import M2D
from m2d.nn.m2ds import M2DS
from m2d.nn.mae import MAE

__all__ = ["M2D", "M2DS", "MAE", "ModelConfig", "ObjectiveOutput", "build_objective"]


def build_objective(config: ModelConfig) -> nn.Module:
    """The objective that the options describe, freshly initialised.

    All take `forward(x [B, C, F, T], teacher, teacher_frames, mask_noise) -> ObjectiveOutput`, and have
    `update_target(rate)` and `.encoder`.
    """
    if config.objective == "mae":
        return MAE(config)
    return M2DS(config) if config.lambda_off else M2D(config)
