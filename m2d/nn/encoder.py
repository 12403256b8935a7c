"""The online encoder: patch embedding, positions, class token and a ViT."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from m2d.nn.config import ModelConfig
from m2d.nn.patches import Mask, gather, patchify, sincos_positions, split
from m2d.nn.transformer import Transformer


class PatchEmbed(nn.Module):
    """The convolution of kernel = stride = patch that ViT begins with, applied to chosen patches only.

    The weight keeps the convolution's shape [D, C, f, t]; on pixels already cut into patches it is one Linear.
    """

    def __init__(self, patch_size: tuple[int, int], in_channels: int, width: int):
        super().__init__()
        self.patch_size = tuple(patch_size)
        self.proj = nn.Conv2d(in_channels, width, kernel_size=self.patch_size, stride=self.patch_size)
        nn.init.xavier_uniform_(self.proj.weight.view(width, -1))  # the bias keeps Conv2d's default

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels [B, n, C * f * t] -> tokens [B, n, D]."""
        return F.linear(pixels, self.proj.weight.flatten(1), self.proj.bias)


class Encoder(nn.Module):
    """ViT over the patches it is given (M2D, section 3: f_theta)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        size = config.encoder
        self.grid = config.grid
        self.n_visible = config.n_visible
        self.patch_embed = PatchEmbed(config.patch_size, config.in_channels, size.width)
        self.cls_token = nn.Parameter(torch.empty(1, 1, size.width))
        self.transformer = Transformer(*size, checkpointing=config.activation_checkpointing)
        self.register_buffer("positions", sincos_positions(self.grid, size.width), persistent=False)  # [L, D]
        nn.init.normal_(self.cls_token, std=0.02)

    def patches(self, x: torch.Tensor) -> torch.Tensor:
        """Pixels of all patches, [B, C, F, T] -> [B, L, C * f * t]."""
        return patchify(x, self.patch_embed.patch_size)

    def split(self, pixels: torch.Tensor, noise: torch.Tensor | None) -> Mask:
        """Random split of `pixels` [B, L, P] by `noise` [B, L], drawn on the device if None."""
        if noise is None:
            noise = torch.rand(pixels.shape[:2], device=pixels.device)
        return split(noise, self.n_visible)

    def embed(self, pixels: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Class token and the patches at `index` [B, n] of `pixels` [B, L, P], positions added -> [B, 1 + n, D].

        Only the chosen patches are embedded.
        """
        tokens = self.patch_embed(gather(pixels, index)) + self.positions[index]
        return self.with_class_token(tokens)

    def with_class_token(self, tokens: torch.Tensor) -> torch.Tensor:
        """[B, n, D] -> [B, 1 + n, D]; the class token's position is zero."""
        return torch.cat([self.cls_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)

    def forward(self, pixels: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Latents of the patches at `index` [B, n] of `pixels` [B, L, P] -> [B, 1 + n, D], class token first."""
        return self.transformer(self.embed(pixels, index))

    def layers(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Every layer's view of a whole input, [B, C, F, T'] -> list of [B, N_F, N_T', D], without the class token.

        T' may be shorter than the model's input: its patches take the first columns of the position grid. The last
        layer is after the final LayerNorm.
        """
        n_time = x.shape[3] // self.patch_embed.patch_size[1]
        if not 0 < n_time <= self.grid.n_time:
            raise ValueError(f"{n_time} patches in time, the model takes 1 to {self.grid.n_time}")
        width = self.positions.shape[1]
        positions = self.positions.view(*self.grid, width)[:, :n_time].reshape(-1, width)
        tokens = self.with_class_token(self.patch_embed(self.patches(x)) + positions)
        shape = (x.shape[0], self.grid.n_freq, n_time, width)
        return [layer[:, 1:].reshape(shape) for layer in self.transformer.layers(tokens)]
