"""Features of a frozen model, kept by the content of weights and audio: a task reads each clip many times."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from m2d.common.errors import UserError
from m2d.common.files import existing_file, read_json
from m2d.superb.disk import DiskFeatures


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a task sets on an upstream.

    Attributes:
        mean, std: log-mel statistics of the task; None keeps the model's own.
        cache_gib: how much memory kept features may take.
        disk, disk_gib: a folder for features of one task, and how much of it they may take; 0 keeps none there.
        hearings: how often a clip is heard before its features are kept on the disk (2 where audio is cut at random).
        seed: of random weights.
    """

    mean: float | None = None
    std: float | None = None
    cache_gib: float = 0.0
    disk: str = ""
    disk_gib: float = 0.0
    hearings: int = 1
    seed: int = 0

    @property
    def keeps(self) -> bool:
        """Whether features are kept at all."""
        return self.cache_gib > 0 or self.disk_gib > 0

    @classmethod
    def read(cls, source: str | Path | Mapping[str, Any] | None) -> "Settings":
        """Settings from a JSON file, a mapping, or the defaults. `UserError` for a missing file or an unknown key."""
        if source is None:
            return cls()
        if not isinstance(source, Mapping):
            existing_file(source, "file of upstream settings (JSON)")
            source = read_json(source)
        unknown = set(source) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise UserError(f"upstream settings: unknown key '{sorted(unknown)[0]}'")
        return cls(**source)


class FeatureCache:
    """Features by key, up to a number of bytes in memory, and on a `disk` too.

    Nothing is evicted: the oldest clip is what an epoch needs next.
    """

    def __init__(self, limit: int, disk: DiskFeatures | None = None):
        self.limit, self.disk = limit, disk
        self.bytes = 0
        self.kept: dict[bytes, Tensor] = {}

    def get(self, key: bytes) -> Tensor | None:
        found = self.kept.get(key)
        if self.disk is None:
            return found
        if found is not None:
            self.disk.put(key, found)  # a hearing that the disk may have waited for
            return found
        found = self.disk.get(key)
        if found is not None:
            self._remember(key, found)
        return found

    def put(self, key: bytes, features: Tensor) -> None:
        """Keep a copy on the host where there is room."""
        self._remember(key, features)
        if self.disk is not None:
            self.disk.put(key, features)

    def _remember(self, key: bytes, features: Tensor) -> None:
        size = features.numel() * features.element_size()
        if key not in self.kept and self.bytes + size <= self.limit:
            self.kept[key] = features.detach().cpu().clone()
            self.bytes += size


_CACHES: dict[str, FeatureCache] = {}
"""One cache per content of a model, for the life of the process: seeds, folds and evaluation share it."""


def cache_of(model: nn.Module, description: str, settings: Settings) -> FeatureCache:
    """The process's cache for this model: its class, all its tensors by content, and what else shapes its features.

    Args:
        description: architecture, statistics and device, as text.
        settings: how much a new cache may hold, and where.
    """
    digest = hashlib.blake2b(f"{type(model).__name__} {description}".encode(), digest_size=16)
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    name = digest.hexdigest()
    if name not in _CACHES:
        disk = None
        if settings.disk_gib > 0:
            disk = DiskFeatures(Path(settings.disk, name), int(settings.disk_gib * 2**30), settings.hearings)
        _CACHES[name] = FeatureCache(int(settings.cache_gib * 2**30), disk)
    return _CACHES[name]


def clip_keys(wavs: Sequence[Tensor]) -> list[bytes]:
    """A key for each of the clips `[N_i]`: a digest of its samples."""
    return [hashlib.blake2b(_bytes(wav), digest_size=16).digest() for wav in wavs]


def _bytes(tensor: Tensor) -> memoryview:
    return memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
