"""One image file -> pixels, and the views of them that networks get.

torchvision and timm are imported where they are used: they are an extra, and options are checked without them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from m2d.common.errors import UserError

View = Callable[[Tensor], Tensor]
"""Pixels uint8 [3, H, W] of any size -> uint8 [3, S, S]."""

CENTRE = 224 / 256
"""Share of the shorter side that the single crop of evaluation shows (MAE, as ImageNet's custom is)."""


def read_image(path: Path) -> Tensor:
    """RGB pixels uint8 [3, H, W] of a file of any colour model. Raises `UserError` for one that is no whole image."""
    from torchvision.io import ImageReadMode, decode_image, read_file

    try:
        return decode_image(read_file(str(path)), ImageReadMode.RGB)
    except RuntimeError as error:
        raise UserError(f"{path}: not a readable image ({str(error).splitlines()[0]})") from None


def crop_and_flip(size: int, scale: list[float], flip: float) -> View:
    """Random resized crop of a share `scale` of the area, bicubic, then a flip with probability `flip` (MAE)."""
    from torchvision.transforms import InterpolationMode, v2

    return v2.Compose([
        v2.RandomResizedCrop(size, tuple(scale), interpolation=InterpolationMode.BICUBIC, antialias=True),
        v2.RandomHorizontalFlip(flip)])


def centre_crop(size: int) -> View:
    """The single view of evaluation: the shorter side resized to size / `CENTRE`, bicubic, and the middle of it."""
    from torchvision.transforms import InterpolationMode, v2

    return v2.Compose([
        v2.Resize(round(size / CENTRE), InterpolationMode.BICUBIC, antialias=True), v2.CenterCrop(size)])


def crop_flip_augment(size: int, scale: list[float], flip: float, policy: str, fill: list[float]) -> View:
    """`crop_and_flip`, then timm's RandAugment by its policy string; what it uncovers has the colour `fill` [3]."""
    from PIL.Image import Resampling
    from timm.data.auto_augment import rand_augment_transform
    from torchvision.transforms import v2

    colour = tuple(min(255, round(255 * value)) for value in fill)
    return v2.Compose([
        crop_and_flip(size, scale, flip),
        v2.ToPILImage(),
        rand_augment_transform(policy, {"translate_const": int(0.45 * size), "img_mean": colour,
                                        "interpolation": Resampling.BICUBIC}),
        v2.PILToTensor()])


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Let the global generators on the CPU that torchvision and timm draw from begin at `key`; put them back after."""
    seed = int(np.random.SeedSequence(key).generate_state(1)[0])
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        torch.set_rng_state(kept[2])
