"""Masked Modeling Duo (M2D) and M2D for Speech: pre-training, features and benchmarks."""

import importlib

__version__ = "0.1.0"

_PUBLIC = {
    "FeatureOutput": "m2d.pretrained.features",
    "M2DFeatures": "m2d.pretrained.features",
    "load_pretrained": "m2d.pretrained.files",
    "save_pretrained": "m2d.pretrained.files",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> object:
    """Import the public names at their first use: `import m2d` alone costs nothing."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'm2d' has no attribute '{name}'")
