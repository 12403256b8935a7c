"""Shared by the objectives: standardised targets, the l2-normalised error, the result of a forward pass."""

from typing import NamedTuple

import torch
import torch.nn.functional as F

STANDARDISE_EPS = 1e-6


class ObjectiveOutput(NamedTuple):
    """Result of an objective's forward pass. All tensors are scalars, float32, on the device."""

    loss: torch.Tensor  # to be minimised: the weighted sum of the terms
    terms: dict[str, torch.Tensor]  # each loss unweighted and detached: m2d, off, mae
    monitor: dict[str, torch.Tensor]  # signs of collapse: target_std, latent_std


def standardise(x: torch.Tensor) -> torch.Tensor:
    """(x - mean) / sqrt(var + 1e-6) over the last axis, unbiased variance, no affine, in float32.

    The M2D paper (section 3) standardises the target "for stabilizing the training"; here per token, with no statistics
    of the batch.
    """
    x = x.float()
    variance, mean = torch.var_mean(x, dim=-1, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + STANDARDISE_EPS)


def cosine_error(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared error of l2-normalised vectors, 2 - 2 cos, [..., D] -> [...] in float32 (M2D, equation 2)."""
    return 2 - 2 * F.cosine_similarity(prediction.float(), target.float(), dim=-1)


@torch.no_grad()
def deviation(x: torch.Tensor) -> torch.Tensor:
    """Standard deviation over all tokens of all clips, mean over dimensions, [B, N, D] -> scalar. Near 0: collapse."""
    return x.detach().float().flatten(0, -2).std(dim=0).mean()
