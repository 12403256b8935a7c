"""Masked Modeling Duo (M2D) and M2D for Speech: pre-training, features and benchmarks."""

__version__ = "0.1.0"
