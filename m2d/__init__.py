"""Masked Modeling Duo (M2D) and M2D for Speech: pre-training, features and benchmarks."""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.2.0"

_ROOMS = {"load_pretrained": "files", "save_pretrained": "files", "ImageFeatures": "images", "ImageOutput": "images"}

if TYPE_CHECKING:
    from m2d.pretrained.features import FeatureOutput, M2DFeatures, Tags
    from m2d.pretrained.files import load_pretrained, save_pretrained
    from m2d.pretrained.images import ImageFeatures, ImageOutput

__all__ = ["FeatureOutput", "ImageFeatures", "ImageOutput", "M2DFeatures", "Tags", "load_pretrained", "save_pretrained"]


def __getattr__(name: str) -> object:
    """Import the public names at their first use: `import m2d` alone costs nothing."""
    if name in __all__:
        return getattr(importlib.import_module(f"m2d.pretrained.{_ROOMS.get(name, 'features')}"), name)
    raise AttributeError(f"module 'm2d' has no attribute '{name}'")
