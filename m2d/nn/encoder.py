"""The online encoder: patch embedding, positions, class token and a ViT."""

import torch
import torch.nn.functional as F
from torch import nn

from m2d.nn.encoder_config import EncoderConfig
from m2d.nn.patches import gather, patchify, sincos_positions
from m2d.nn.transformer import Transformer


class PatchEmbed(nn.Module):
    """ViT's patch embedding, a convolution with kernel = stride = patch, applied to selected patches only.

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

    def __init__(self, config: EncoderConfig, checkpointing: bool = False, drop_path: float = 0.0):
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config.patch_size, config.in_channels, config.width)
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.width))
        self.transformer = Transformer(*config.size, checkpointing=checkpointing, drop_path=drop_path)
        self.register_buffer("positions", sincos_positions(config.grid, config.width), persistent=False)  # [L, D]
        nn.init.normal_(self.cls_token, std=0.02)

    def randomise(self, seed: int) -> None:
        """Re-initialise the weights: the untrained baseline of pre-training."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.load_state_dict(Encoder(self.config).state_dict())

    def patches(self, x: torch.Tensor) -> torch.Tensor:
        """Pixels of all patches, [B, C, F, T] -> [B, L, C * f * t]."""
        return patchify(x, self.patch_embed.patch_size)

    def embed(self, pixels: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Class token and the patches at `index` [B, n] of `pixels` [B, L, P], positions added -> [B, 1 + n, D]."""
        tokens = self.patch_embed(gather(pixels, index)) + self.positions[index]
        return self.with_class_token(tokens)

    def whole(self, x: torch.Tensor) -> torch.Tensor:
        """Class token and all patches of whole inputs, positions added, [B, C, F, T] -> [B, 1 + L, D]."""
        return self.with_class_token(self.patch_embed(self.patches(x)) + self.positions)

    def with_class_token(self, tokens: torch.Tensor) -> torch.Tensor:
        """[B, n, D] -> [B, 1 + n, D]; the class token's position is zero."""
        return torch.cat([self.cls_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)

    def forward(self, pixels: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Latents of the patches at `index` [B, n] of `pixels` [B, L, P] -> [B, 1 + n, D], class token first."""
        return self.transformer(self.embed(pixels, index))

    def layers(self, x: torch.Tensor, n_time_valid: torch.Tensor | None = None) -> list[torch.Tensor]:
        """Output of every layer for a whole input, [B, C, F, T'] -> list of [B, N_F, N_T', D], without the class token.

        T' may be shorter than the model's input: its patches take the first columns of the position grid. The last
        layer is after the final LayerNorm. `n_time_valid` [B] is the number of real columns of patches: attention masks
        the padding, so that it does not change the real ones.

        Raises ValueError for an input longer than the model's or shorter than a patch.
        """
        n_freq, n_time_max = self.config.grid
        n_time = x.shape[3] // self.patch_embed.patch_size[1]
        if not 0 < n_time <= n_time_max:
            raise ValueError(f"{n_time} patches in time, the model takes 1 to {n_time_max}")
        width = self.config.width
        positions = self.positions.view(n_freq, n_time_max, width)[:, :n_time].reshape(-1, width)
        tokens = self.with_class_token(self.patch_embed(self.patches(x)) + positions)
        mask = None
        if n_time_valid is not None:
            real = torch.arange(n_time, device=x.device) < n_time_valid.unsqueeze(1)  # [B, N_T']
            mask = F.pad(real.repeat(1, n_freq), (1, 0), value=True)[:, None, None]  # [B, 1, 1, 1 + N_F * N_T']
        return [layer[:, 1:].reshape(-1, n_freq, n_time, width) for layer in self.transformer.layers(tokens, mask)]
