"""Masked Modeling Duo: the online network predicts what the target network makes of the masked patches."""

from __future__ import annotations

import torch
from torch import nn

from m2d.nn.config import ModelConfig
from m2d.nn.encoder import Encoder
from m2d.nn.losses import ObjectiveOutput, cosine_error, deviation, standardise
from m2d.nn.patches import Mask, random_split
from m2d.nn.predictor import Predictor
from m2d.nn.transformer import Transformer


class M2D(nn.Module):
    """M2D (section 3) and, with `objective=m2d_all_patches`, the conventional variant of its section 4.3.

    The target has blocks and a final LayerNorm of its own, initialised independently and moved by `update_target`
    alone; patch embedding, positions and class token are the online encoder's, read without gradient.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, config.activation_checkpointing)
        self.predictor = Predictor(config, out_width=config.encoder.width)
        self.target = None
        if config.lambda_m2d:
            self.target = Transformer(*config.encoder.size).requires_grad_(False)

    @torch.no_grad()
    def targets(self, pixels: torch.Tensor, mask: Mask) -> torch.Tensor:
        """Standardised target of each masked patch, pixels [B, L, P] -> [B, N_masked, D] float32."""
        sees_all = self.config.objective == "m2d_all_patches"
        tokens = self.target(self.encoder.embed(pixels, mask.shuffle if sees_all else mask.masked))
        first = 1 + mask.visible.shape[1] if sees_all else 1
        return standardise(tokens[:, first:])

    def forward(
        self,
        x: torch.Tensor,
        teacher: torch.Tensor | None = None,
        teacher_frames: torch.Tensor | None = None,
        mask_noise: torch.Tensor | None = None,
    ) -> ObjectiveOutput:
        """One pass over a normalised batch.

        Args:
            x: [B, C, F, T] normalised input.
            teacher: no use here, must be None (see `m2d.nn.m2ds`).
            teacher_frames: as teacher.
            mask_noise: [B, L] uniform noise that orders the patches; drawn on the device if None.

        Raises ValueError if a teacher is given.
        """
        if teacher is not None or teacher_frames is not None:
            raise ValueError("a teacher was given, but lambda_off is 0")
        pixels = self.encoder.patches(x)
        mask = random_split(pixels, self.config.n_visible, mask_noise)
        latent = self.encoder(pixels, mask.visible)
        prediction = self.predictor(latent, mask)
        loss, terms, monitor = self.m2d_loss(pixels, mask, prediction)
        monitor["latent_std"] = deviation(latent[:, 1:])
        return ObjectiveOutput(self.config.lambda_m2d * loss, terms, monitor)

    def m2d_loss(
        self, pixels: torch.Tensor, mask: Mask, prediction: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """L_m2d for predictions [B, N_masked, D], with its entries of `terms` and `monitor`."""
        target = self.targets(pixels, mask)
        loss = cosine_error(prediction, target).mean()
        return loss, {"m2d": loss.detach()}, {"target_std": deviation(target)}

    @torch.no_grad()
    def update_target(self, rate: float) -> None:
        """Move the target's blocks and LayerNorm: target = rate * target + (1 - rate) * online (M2D, equation 3)."""
        if self.target is not None:
            online = list(self.encoder.transformer.parameters())
            torch._foreach_lerp_(list(self.target.parameters()), online, 1 - rate)
