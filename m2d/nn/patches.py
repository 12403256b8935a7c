"""The patch grid: cutting an input into patches, fixed positions, the split into visible and masked patches."""

from typing import NamedTuple

import torch


class Grid(NamedTuple):
    """Numbers of patches along frequency (N_F) and time (N_T). Patch (f, t) has index f * N_T + t, f = 0 lowest."""

    n_freq: int
    n_time: int

    @property
    def n_patches(self) -> int:
        """L = N_F * N_T."""
        return self.n_freq * self.n_time


class Mask(NamedTuple):
    """A random split of the patches of each sample, as indices into the grid (int64)."""

    shuffle: torch.Tensor  # [B, L] a permutation of the patches; the visible ones come first
    restore: torch.Tensor  # [B, L] its inverse: shuffle.gather(1, restore) = 0 .. L-1
    visible: torch.Tensor  # [B, N_visible] the first of `shuffle`: the patches that the online encoder sees
    masked: torch.Tensor  # [B, N_masked] the rest: the patches to predict


def visible_count(n_patches: int, mask_ratio: float) -> int:
    """Number of visible patches, `int(L * (1 - ratio))`: 57 of 190 at 0.7, 20 of 52 at 0.6."""
    return int(n_patches * (1 - mask_ratio))


def random_split(pixels: torch.Tensor, n_visible: int, noise: torch.Tensor | None = None) -> Mask:
    """Split the patches of `pixels` [B, L, P]: in the order of `noise` [B, L], the first are visible.

    The noise, uniform in [0, 1), is drawn from torch's generator of the device if not given. A run that draws it from
    a generator of its own can be resumed exactly.
    """
    if noise is None:
        noise = torch.rand(pixels.shape[:2], device=pixels.device)
    shuffle = noise.argsort(dim=1)
    order = torch.arange(noise.shape[1], device=noise.device).expand_as(shuffle)
    restore = torch.empty_like(shuffle).scatter_(1, shuffle, order)
    return Mask(shuffle, restore, shuffle[:, :n_visible], shuffle[:, n_visible:])


def gather(rows: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Rows [B, N, D] at index [B, M], per sample -> [B, M, D]."""
    return rows.gather(1, index.unsqueeze(-1).expand(-1, -1, rows.shape[2]))


def patchify(x: torch.Tensor, patch_size: tuple[int, int]) -> torch.Tensor:
    """[B, C, F, T] -> [B, L, C * f * t], patches row-major over (F, T), without an incomplete last one in time."""
    (batch, channels, height, width), (f, t) = x.shape, patch_size
    n_freq, n_time = height // f, width // t
    x = x[..., :n_time * t].reshape(batch, channels, n_freq, f, n_time, t)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(batch, n_freq * n_time, channels * f * t)


def sincos_positions(grid: Grid, width: int) -> torch.Tensor:
    """Fixed positions of the patches, [L, D] float32, computed in float64.

    As in MAE, but for a rectangular grid: the first half of the channels encodes time, the second half frequency, each
    half [sin | cos] of the index times 10000^(-i / (D/4)), i = 0 .. D/4 - 1. The class token's position is zero and has
    no row here. They have values even under `torch.device("meta")`.
    """
    quarter = width // 4
    omega = 10000.0 ** -(torch.arange(quarter, dtype=torch.float64, device="cpu") / quarter)
    freq, time = torch.meshgrid(*(torch.arange(n, device="cpu") for n in (grid.n_freq, grid.n_time)), indexing="ij")
    angles = [index.reshape(-1, 1).double() * omega for index in (time, freq)]
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1).float()
