"""Masked Modeling Duo: the online network predicts the target network's output for the masked patches."""

import torch
import torch.nn.functional as F

from m2d.nn.config import ModelConfig
from m2d.nn.objectives import OBJECTIVES, Objective, ObjectiveOutput, Prediction, cosine_error, deviation, standardise
from m2d.nn.transformer import Transformer


@OBJECTIVES.register("m2d")
class M2D(Objective):
    """M2D (section 3).

    The target has its own blocks and final LayerNorm, initialised independently and updated by `update_target` only; it
    shares patch embedding, positions and class token with the online encoder, without gradient.
    """

    title = "M2D"
    terms = {"m2d": "M2D loss"}  # noqa: RUF012

    def __init__(self, config: ModelConfig):
        super().__init__(config, out_width=config.encoder.width)
        self.target = None
        if config.lambda_m2d:
            self.target = Transformer(*config.encoder.size).requires_grad_(False)

    @classmethod
    def check(cls, config: ModelConfig) -> None:
        """Raise ValueError for weights of the losses that are negative or all zero."""
        if min(config.lambda_m2d, config.lambda_off) < 0 or config.lambda_m2d + config.lambda_off == 0:
            raise ValueError(f"lambda_m2d {config.lambda_m2d}, lambda_off {config.lambda_off}: "
                            "neither may be negative, one must be positive")

    @torch.no_grad()
    def targets(self, prediction: Prediction) -> torch.Tensor:
        """Standardised target of each masked patch, [B, N_masked, D] float32; it sees the masked patches alone."""
        tokens = self.target(self.encoder.embed(prediction.pixels, prediction.mask.masked))
        return standardise(tokens[:, 1:])

    def forward(self, x: torch.Tensor, mask_noise: torch.Tensor | None = None) -> ObjectiveOutput:
        """lambda_m2d * L_m2d."""
        prediction = self.predict(x, mask_noise)
        loss, terms, monitor = self.m2d_loss(prediction)
        monitor["latent_std"] = deviation(prediction.latent[:, 1:])
        return ObjectiveOutput(self.config.lambda_m2d * loss, terms, monitor)

    def m2d_loss(
        self, prediction: Prediction
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """L_m2d (M2D, equation 2), with its entries of `terms` and `monitor`."""
        target = self.targets(prediction)
        loss = cosine_error(prediction.masked, target).mean()
        return loss, {"m2d": loss.detach()}, {"target_std": deviation(target)}

    @torch.no_grad()
    def agreement(self, prediction: Prediction) -> torch.Tensor | None:
        """Cosine of prediction and target at the masked patches, [B, N_masked]."""
        return F.cosine_similarity(prediction.masked, self.targets(prediction), dim=-1) if self.target else None

    @torch.no_grad()
    def update_target(self, rate: float) -> None:
        """Update the target's blocks and LayerNorm: target = rate * target + (1 - rate) * online (M2D, equation 3)."""
        if self.target is not None:
            online = list(self.encoder.transformer.parameters())
            torch._foreach_lerp_(list(self.target.parameters()), online, 1 - rate)


@OBJECTIVES.register("m2d_all_patches")
class M2DAllPatches(M2D):
    """The conventional variant of section 4.3, whose target sees the visible patches too."""

    title = "M2D, target of all patches"

    @classmethod
    def check(cls, config: ModelConfig) -> None:
        """Raise ValueError for a loss of weight 0 or less, and a teacher."""
        super().check(config)
        if config.lambda_off:
            raise ValueError(f"lambda_off does not apply to objective={config.objective}: use objective=m2d")

    @torch.no_grad()
    def targets(self, prediction: Prediction) -> torch.Tensor:
        """Standardised target of each masked patch, [B, N_masked, D] float32."""
        tokens = self.target(self.encoder.embed(prediction.pixels, prediction.mask.shuffle))
        return standardise(tokens[:, prediction.latent.shape[1]:])
