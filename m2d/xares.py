"""The encoder file of X-ARES: `M2D_MODEL=MODEL python -m xares.run m2d/xares.py TASK.py`."""

import os

import torch
from torch import nn

from m2d.common.errors import UserError
from m2d.pretrained.files import load_audio


class M2DEncoder(nn.Module):
    """Frame features of the model that the environment variable M2D_MODEL names, as `load_pretrained` takes it.

    X-ARES builds it without arguments and pads its batches with zeros, without telling how long each clip was.
    """

    def __init__(self) -> None:
        super().__init__()
        if not os.environ.get("M2D_MODEL"):
            raise UserError("M2D_MODEL is not set: name the model in the environment, M2D_MODEL=MODEL")
        self.features = load_audio(os.environ["M2D_MODEL"])
        self.sampling_rate = self.features.logmel.config.sample_rate
        self.output_dim = self.features.dim
        self.hop_size_in_ms = 1000 * self.features.samples_per_frame / self.sampling_rate

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Audio [B, N] or [N] at `sampling_rate` to frames [B, T, D], one every `hop_size_in_ms`."""
        return self.features(torch.atleast_2d(audio), sampling_rate=self.sampling_rate, all_layers=False).frames
