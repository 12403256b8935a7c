"""Objectives of pre-training: one module each, found by the name in `model.objective`."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from m2d.common.registry import Registry
from m2d.nn.encoder import Encoder
from m2d.nn.patches import Mask, random_split
from m2d.nn.predictor import Predictor

if TYPE_CHECKING:  # it looks its objective up here
    from m2d.nn.config import ModelConfig

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


class Prediction(NamedTuple):
    """One pass of the online network."""

    pixels: torch.Tensor  # [B, L, P] of all patches
    mask: Mask
    latent: torch.Tensor  # [B, 1 + N_visible, D] the encoder's output, class token first
    masked: torch.Tensor  # [B, N_masked, out_width] the predictor's output for the masked patches


class Objective(nn.Module, ABC):
    """Online encoder and predictor, and a loss on the predictions for the masked patches.

    A module registers its class under a name. `forward` takes the normalised batch x `[B, C, F, T]`, `mask_noise`
    `[B, L]` uniform in [0, 1) (None: drawn on the device) and, where the objective has a teacher, its frames.
    """

    title: ClassVar[str]  # in tables
    terms: ClassVar[dict[str, str]]  # names of its losses in tables
    default_predictor: ClassVar[tuple[int, int, int]] = (512, 8, 16)  # width, depth, heads: MAE's decoder

    def __init__(self, config: "ModelConfig", out_width: int):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, config.activation_checkpointing, config.drop_path)
        self.predictor = Predictor(config, out_width)

    @classmethod
    def check(cls, config: "ModelConfig") -> None:
        """Raise ValueError for options that do not suit the objective."""
        if config.lambda_m2d != 1.0 or config.lambda_off != 0.0:
            raise ValueError(f"lambda_m2d and lambda_off do not apply to objective={config.objective}: leave them at 1 "
                            "and 0")

    @abstractmethod
    def forward(self, x: torch.Tensor, mask_noise: torch.Tensor | None = None) -> ObjectiveOutput:
        """The loss of a normalised batch x `[B, C, F, T]`."""

    def predict(self, x: torch.Tensor, mask_noise: torch.Tensor | None) -> Prediction:
        """Mask the patches of x `[B, C, F, T]`, encode the visible ones, predict the others."""
        pixels = self.encoder.patches(x)
        mask = random_split(pixels, self.config.n_visible, mask_noise)
        latent = self.encoder(pixels, mask.visible)
        return Prediction(pixels, mask, latent, self.predictor(latent, mask))

    def agreement(self, prediction: Prediction) -> torch.Tensor | None:
        """Cosine of prediction and target at the masked patches, `[B, N_masked]`; None without a target network."""
        return None

    def update_target(self, rate: float) -> None:
        """EMA update of the target network, if there is one, with this decay."""


OBJECTIVES: Registry[type[Objective]] = Registry("objective", __name__)
