"""Images to features: a pre-trained encoder of images."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from m2d.common.errors import UserError
from m2d.nn.encoder import Encoder

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet's channels, as public ViT models assume."""


class ImageOutput(NamedTuple):
    """Features of B images."""

    patches: torch.Tensor  # [B, N_H, N_W, D] the last layer, after the final LayerNorm
    image: torch.Tensor  # [B, D] their mean
    layers: list[torch.Tensor]  # [B, N_H, N_W, D] each: one per block, the last is `patches`


class ImageFeatures(nn.Module):
    """A pre-trained encoder of square images behind its normalisation; pooled as MAE fine-tunes (M2D, appendix A).

    In evaluation mode, as `load_pretrained` gives it, a call keeps no gradients; after `train()` it does.
    """

    __call__: Callable[..., ImageOutput]  # typed as `forward`

    def __init__(self, encoder: Encoder, mean: list[float], std: list[float]):
        """Args: the encoder, mean and deviation of each channel of its training images in 0..1."""
        super().__init__()
        self.encoder = encoder
        self.set_statistics(mean, std)

    @property
    def dim(self) -> int:
        return self.encoder.config.width

    @property
    def n_layers(self) -> int:
        return self.encoder.config.depth

    def set_statistics(self, mean: list[float], std: list[float]) -> None:
        """Normalise by these from now on."""
        if len(mean) != self.encoder.config.in_channels or len(std) != len(mean) or not all(
                math.isfinite(m) and 0 < s < math.inf for m, s in zip(mean, std, strict=True)):
            raise UserError(f"mean {mean}, standard deviation {std}: must be finite, the deviation positive, one for "
                            f"each of {self.encoder.config.in_channels} channels")
        self.mean, self.std = [float(value) for value in mean], [float(value) for value in std]

    def forward(self, images: torch.Tensor) -> ImageOutput:
        """Features of images [B, 3, S, S], uint8 or 0..1 (see `centre_crop`). Raises ValueError for another shape."""
        config = self.encoder.config
        if images.shape[1:] != (config.in_channels, *config.input_size):
            raise ValueError(f"images are {list(images.shape)}, the model takes "
                             f"[B, {config.in_channels}, {config.input_size[0]}, {config.input_size[1]}]")
        place = self.encoder.cls_token
        pixels = images.to(place.device).float() / (1 if images.is_floating_point() else 255)
        mean, std = (pixels.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            layers = [layer.float() for layer in self.encoder.layers(((pixels - mean) / std).to(place.dtype))]
        return ImageOutput(layers[-1], layers[-1].mean(dim=(1, 2)), layers)
