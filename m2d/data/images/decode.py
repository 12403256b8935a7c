"""Image files -> pixels, and the views of them that networks take.

torchvision and timm are an optional extra and therefore imported where they are used.
"""

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
"""Share of the shorter side that the single crop of evaluation shows (MAE; usual on ImageNet)."""


def read_image(path: Path) -> Tensor:
    """RGB pixels uint8 [3, H, W] of a file of any colour model. Raises `UserError` for a damaged one."""
    from torchvision.io import ImageReadMode, decode_image, read_file

    try:
        return decode_image(read_file(str(path)), ImageReadMode.RGB)
    except RuntimeError as error:
        raise UserError(f"{path}: not a readable image ({str(error).splitlines()[0]})") from None


def crop_and_flip(size: int, scale: list[float], flip: float) -> View:
    """Random resized crop (bicubic) of `scale[0]` to `scale[1]` of the area; a flip with probability `flip` (MAE)."""
    from torchvision.transforms import InterpolationMode, v2

    return v2.Compose([
        v2.RandomResizedCrop(size, tuple(scale), interpolation=InterpolationMode.BICUBIC, antialias=True),
        v2.RandomHorizontalFlip(flip)])


def centre_crop(size: int) -> View:
    """The view of evaluation: the shorter side resized (bicubic) to size / `CENTRE`, then the centre cropped."""
    from torchvision.transforms import InterpolationMode, v2

    return v2.Compose([
        v2.Resize(round(size / CENTRE), InterpolationMode.BICUBIC, antialias=True), v2.CenterCrop(size)])


def crop_flip_augment(size: int, scale: list[float], flip: float, policy: str, fill: list[float]) -> View:
    """`crop_and_flip`, then timm's RandAugment by its policy string; uncovered pixels are `fill` [3] in 0..1."""
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
    """Seed the global CPU generators, which torchvision and timm draw from, by `key`; restore them afterwards."""
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
