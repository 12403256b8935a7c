"""Augmentation of batches of log-mels for fine-tuning: Mixup, Random Resize Crop, SpecAugment, Structured Patchout.

Everything runs on the batch's device and draws from torch's generator of that device, so that a seed determines it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchaudio.functional import mask_along_axis_iid

from m2d.nn.patches import Grid

CANVAS = (1.0, 1.5)
"""Height and width of Random Resize Crop's virtual canvas in inputs (frequency, time)."""
CROP_SCALE = (0.6, 1.5)
"""Range of the crop's height and of its width in inputs, before the canvas limits them."""


def mixup(logmel: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Mix every clip with a partner of the batch; lambda ~ Beta(alpha, alpha) per clip (M2D, table 2).

    Powers are mixed, `log(lambda * exp(x) + (1 - lambda) * exp(y))`, as in BYOL-A, which the paper cites for it
    ([20]): sounds add in power, not in decibels. (The public code mixes waveforms.)

    Args:
        logmel: raw log-mels `[B, T, F]`.
        targets: label weights `[B, C]`, mixed alike.
        alpha: 0 changes nothing.
    """
    if alpha == 0:
        return logmel, targets
    partner = torch.randperm(len(logmel), device=logmel.device)
    weight = torch.distributions.Beta(alpha, alpha).sample((len(logmel),)).to(logmel)
    share = weight[:, None, None]
    mixed = torch.logaddexp(logmel + share.log(), logmel[partner] + (1 - share).log())
    weight = weight[:, None]
    return mixed, weight * targets + (1 - weight) * targets[partner]


def random_resize_crop(x: Tensor) -> Tensor:
    """A random part of a virtual canvas, resized back by bicubic interpolation; normalised log-mels `[B, C, F, T]`.

    The input lies in the middle of a canvas of `CANVAS` times its size, elsewhere zero (the data set's mean). Each clip
    gets a crop of its own: height and width from `CROP_SCALE`, at most the canvas, anywhere in it (BYOL-A, whose Random
    Resize Crop M2D takes).
    """
    batch, device = len(x), x.device
    theta = torch.zeros(batch, 2, 3, device=device)
    for axis, canvas in ((1, CANVAS[0]), (0, CANVAS[1])):  # affine_grid's axis 0 is the last one: time
        low, high = CROP_SCALE
        size = (low + (high - low) * torch.rand(batch, device=device)).clamp(max=canvas)
        # in grid_sample's coordinates the input is -1 .. 1, the canvas -canvas .. canvas
        centre = (canvas - size) * (2 * torch.rand(batch, device=device) - 1)
        theta[:, axis, axis], theta[:, axis, 2] = size, centre
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x.float(), grid, mode="bicubic", padding_mode="zeros", align_corners=False).to(x)


def spec_augment(x: Tensor, freq_mask: int, time_mask: int) -> Tensor:
    """Set one band of up to `freq_mask` bins and one stretch of up to `time_mask` frames of each clip to zero.

    Normalised log-mels `[B, C, F, T]`; masks of the public fine-tuning scripts, not of the paper. 0 masks nothing.
    """
    for width, axis in ((freq_mask, 2), (time_mask, 3)):
        if width:
            x = mask_along_axis_iid(x, min(width, x.shape[axis]), 0.0, axis)
    return x


def structured_patchout(grid: Grid, n_time: int, ratio: float, batch: int, device: torch.device) -> Tensor:
    """Indices `[B, n]` into the patch grid that stay when whole rows and columns are dropped (PaSST; M2D table 2).

    `ratio` is the share of dropped patches, split as evenly as possible between rows and columns; only the first
    `n_time` columns hold input. Rows and columns are drawn for every clip, equal in number.
    """
    rows = max(1, round(grid.n_freq * (1 - ratio) ** 0.5))
    columns = min(n_time, max(1, round((1 - ratio) * grid.n_freq * n_time / rows)))
    kept_rows = torch.rand(batch, grid.n_freq, device=device).argsort(1)[:, :rows].sort(1).values
    kept_columns = torch.rand(batch, n_time, device=device).argsort(1)[:, :columns].sort(1).values
    return (kept_rows[:, :, None] * grid.n_time + kept_columns[:, None, :]).flatten(1)
