"""The predictor g: from visible latents to a prediction for every masked patch. Also MSM-MAE's decoder."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from m2d.nn.patches import Mask, sincos_positions
from m2d.nn.transformer import Transformer, init_linear

if TYPE_CHECKING:
    from m2d.nn.config import ModelConfig


class Predictor(nn.Module):
    """g(concat(z_v, m) + p) of M2D, equation 1, read at the masked positions."""

    def __init__(self, config: "ModelConfig", out_width: int):
        super().__init__()
        size, grid = config.predictor, config.encoder.grid
        self.embed = nn.Linear(config.encoder.width, size.width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, size.width))
        self.transformer = Transformer(*size, checkpointing=config.activation_checkpointing)
        self.head = nn.Linear(size.width, out_width)
        self.register_buffer("positions", sincos_positions(grid, size.width), persistent=False)  # [L, W]
        nn.init.normal_(self.mask_token, std=0.02)
        init_linear(self.embed)
        init_linear(self.head)

    def tokens(self, latent: torch.Tensor, mask: Mask) -> torch.Tensor:
        """Input of the blocks: latents [B, 1 + N_visible, D] -> [B, 1 + L, W]: class token, visible, masked.

        Attention does not depend on the order of its tokens, and each has its position added: the patches stay
        shuffled, without a gather before or after the blocks.
        """
        latent = self.embed(latent)
        hidden = self.mask_token.expand(latent.shape[0], mask.masked.shape[1], -1)
        patches = torch.cat([latent[:, 1:], hidden], dim=1) + self.positions[mask.shuffle]
        return torch.cat([latent[:, :1], patches], dim=1)

    def forward(self, latent: torch.Tensor, mask: Mask) -> torch.Tensor:
        """Latents [B, 1 + N_visible, D] -> predictions [B, N_masked, out_width] in the order of `mask.masked`."""
        hidden = self.transformer.run_blocks(self.tokens(latent, mask))
        return self.head(self.transformer.norm(hidden[:, latent.shape[1]:]))
