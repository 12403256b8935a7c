"""Masked Modeling Duo (M2D) and M2D for Speech: pre-training, features and benchmarks."""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from m2d.pretrained.features import FeatureOutput, M2DFeatures, Tags
    from m2d.pretrained.files import load_pretrained, save_pretrained

__all__ = ["FeatureOutput", "M2DFeatures", "Tags", "load_pretrained", "save_pretrained"]


def __getattr__(name: str) -> object:
    """Import the public names at their first use: `import m2d` alone costs nothing."""
    if name in __all__:
        room = "files" if name.endswith("pretrained") else "features"
        return getattr(importlib.import_module(f"m2d.pretrained.{room}"), name)
    raise AttributeError(f"module 'm2d' has no attribute '{name}'")
