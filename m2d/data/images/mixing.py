"""Augmentation of fine-tuning on the batch, on the device: random erasing, Mixup, CutMix, label smoothing (timm)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from m2d.data.images.decode import seeded


class Mixing:
    """Erases a part of an image with probability `erase`, then mixes the batch with its reverse by Mixup or CutMix."""

    def __init__(self, classes: int, erase: float, mixup: float, cutmix: float, smoothing: float, device: torch.device):
        from timm.data import Mixup  # here: timm is an extra
        from timm.data.random_erasing import RandomErasing

        self.classes, self.smoothing = classes, smoothing
        self.erase = RandomErasing(erase, mode="pixel", device=device) if erase else None
        self.mix = Mixup(mixup, cutmix, label_smoothing=smoothing, num_classes=classes) if mixup or cutmix else None

    def __call__(self, x: Tensor, labels: Tensor, key: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Normalised images `[B, 3, H, W]` (changed) and labels `[B]` -> images, weights `[B, classes]`, by `key`."""
        with seeded(*key):
            if self.erase is not None:
                x = self.erase(x)
            if self.mix is not None:
                return self.mix(x, labels)
        return x, one_hot(labels, self.classes, self.smoothing)


def one_hot(labels: Tensor, classes: int, smoothing: float = 0.0) -> Tensor:
    """Labels `[B]` -> weights `[B, classes]` float32; the share `smoothing` is spread evenly over all classes."""
    return F.one_hot(labels, classes).float() * (1 - smoothing) + smoothing / classes
