"""MSM-MAE: the decoder reconstructs the standardised pixels of the masked patches. M2D's baseline."""

from __future__ import annotations

import torch
from torch import nn

from m2d.nn.config import ModelConfig
from m2d.nn.encoder import Encoder
from m2d.nn.losses import ObjectiveOutput, deviation, standardise
from m2d.nn.patches import gather, random_split
from m2d.nn.predictor import Predictor


class MAE(nn.Module):
    """Masked autoencoder with per-patch standardised pixels as targets (M2D, section 4.1: MSM-MAE).

    The pixels of a patch are in the order (C, f, t).
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, config.activation_checkpointing)
        f, t = config.patch_size
        self.predictor = Predictor(config, out_width=config.in_channels * f * t)

    def forward(
        self,
        x: torch.Tensor,
        teacher: torch.Tensor | None = None,
        teacher_frames: torch.Tensor | None = None,
        mask_noise: torch.Tensor | None = None,
    ) -> ObjectiveOutput:
        """One pass over a normalised batch x [B, C, F, T]; mask_noise [B, L] is drawn on the device if None.

        Raises ValueError if a teacher is given.
        """
        if teacher is not None or teacher_frames is not None:
            raise ValueError("a teacher was given, but MSM-MAE has no use for one")
        pixels = self.encoder.patches(x)
        mask = random_split(pixels, self.config.n_visible, mask_noise)
        latent = self.encoder(pixels, mask.visible)
        prediction = self.predictor(latent, mask)
        loss = (prediction.float() - standardise(gather(pixels, mask.masked))).square().mean()
        return ObjectiveOutput(loss, {"mae": loss.detach()}, {"latent_std": deviation(latent[:, 1:])})

    def update_target(self, rate: float) -> None:
        """Nothing: MSM-MAE has no target network. Here so that all objectives are trained by the same loop."""
