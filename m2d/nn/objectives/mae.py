"""MSM-MAE: the decoder reconstructs the standardised pixels of the masked patches. M2D's baseline."""

import torch

from m2d.nn.config import ModelConfig
from m2d.nn.objectives import OBJECTIVES, Objective, ObjectiveOutput, deviation, standardise
from m2d.nn.patches import gather


@OBJECTIVES.register("mae")
class MAE(Objective):
    """Masked autoencoder with per-patch standardised pixels, in the order (C, f, t), as targets (MSM-MAE)."""

    title = "MSM-MAE"
    terms = {"mae": "reconstruction loss"}  # noqa: RUF012
    default_predictor = (384, 4, 6)

    def __init__(self, config: ModelConfig):
        f, t = config.patch_size
        super().__init__(config, out_width=config.in_channels * f * t)

    def forward(self, x: torch.Tensor, mask_noise: torch.Tensor | None = None) -> ObjectiveOutput:
        """Mean squared error over the pixels of the masked patches."""
        pixels, mask, latent, masked = self.predict(x, mask_noise)
        loss = (masked.float() - standardise(gather(pixels, mask.masked))).square().mean()
        return ObjectiveOutput(loss, {"mae": loss.detach()}, {"latent_std": deviation(latent[:, 1:])})
