"""Features of a frozen model, kept by the content of weights and audio: a task reads each clip many times."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class FeatureCache:
    """Features by key, up to a number of bytes. Nothing is evicted: the oldest clip is what an epoch needs next."""

    def __init__(self, limit: int):
        self.limit = limit
        self.bytes = 0
        self.kept: dict[bytes, Tensor] = {}

    def get(self, key: bytes) -> Tensor | None:
        return self.kept.get(key)

    def put(self, key: bytes, features: Tensor) -> None:
        """Keep a copy on the host if there is room."""
        size = features.numel() * features.element_size()
        if key not in self.kept and self.bytes + size <= self.limit:
            self.kept[key] = features.detach().cpu().clone()
            self.bytes += size


_CACHES: dict[str, FeatureCache] = {}
"""One cache per content of a model, for the life of the process: seeds, folds and evaluation share it."""


def cache_of(model: nn.Module, settings: str, limit: int) -> FeatureCache:
    """The process's cache for this model: its class, all its tensors by content, and what else shapes its features.

    Args:
        settings: architecture, statistics and device, as text.
        limit: bytes that a new cache may hold.
    """
    digest = hashlib.blake2b(f"{type(model).__name__} {settings}".encode(), digest_size=16)
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    return _CACHES.setdefault(digest.hexdigest(), FeatureCache(limit))


def clip_keys(wavs: Sequence[Tensor]) -> list[bytes]:
    """A key for each of the clips `[N_i]`: a digest of its samples."""
    return [hashlib.blake2b(_bytes(wav), digest_size=16).digest() for wav in wavs]


def _bytes(tensor: Tensor) -> memoryview:
    return memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
