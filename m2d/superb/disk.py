"""Features of a frozen model on the disk, by a digest of the audio: computed once for all runs of a model and task."""

import logging
import os
import struct
import time
import uuid
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

LOG = logging.getLogger(__name__)
RECORD = struct.Struct("<16sQIIII")
"""One line of an index: key, offset in bytes, shape L, T, D, CRC-32 of the values."""


class _Entry(NamedTuple):
    path: Path
    offset: int
    shape: tuple[int, int, int]
    crc: int


class DiskFeatures:
    """Arrays `[L, T, D]` float32 by 16-byte keys, in one folder of a model and task, up to a number of bytes.

    Processes share the folder: each appends to `NAME.data` and then `NAME.index` of its own, and finds at its start
    what the others have written. What a crash or a full disk cut short is computed again. With `hearings=2` an array is
    kept when it is offered a second time: audio that is cut at random never comes again and would fill the disk.
    """

    def __init__(self, folder: str | Path, limit: int, hearings: int = 1):
        self.folder, self.limit, self.hearings = Path(folder), limit, hearings
        self.folder.mkdir(parents=True, exist_ok=True)
        self._name = f"{time.time_ns()}-{uuid.uuid4().hex[:8]}"  # sorted by time: what is newer replaces what is older
        self._offered: set[bytes] = set()
        self._refused: set[bytes] = set()  # for lack of room; memory may offer them at each hearing
        self._entries: dict[bytes, _Entry] = {}
        for index in sorted(self.folder.glob("*.index")):
            self._read_index(index)

    def get(self, key: bytes) -> Tensor | None:
        """The array kept under a key, or None, also where its bytes turn out to be damaged."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        values = np.empty(entry.shape, np.float32)
        try:
            with open(entry.path, "rb", buffering=0) as stream:
                stream.seek(entry.offset)
                whole = stream.readinto(values.data.cast("B")) == values.nbytes and zlib.crc32(values) == entry.crc
        except OSError:  # removed meanwhile
            whole = False
        if whole:
            return torch.from_numpy(values)
        LOG.warning("%s: damaged at byte %d, these features are computed again", entry.path, entry.offset)
        del self._entries[key]
        return None

    def put(self, key: bytes, features: Tensor) -> None:
        """Keep an array if there is room, and it was offered often enough."""
        if key in self._entries or key in self._refused:
            return
        if self.hearings > 1 and key not in self._offered:
            self._offered.add(key)
            return
        self._offered.discard(key)
        values = np.ascontiguousarray(features.detach().float().cpu().numpy())
        if self._used() + values.nbytes > self.limit:
            self._refused.add(key)
            return
        path = self.folder / f"{self._name}.data"
        try:
            with open(path, "ab") as data:
                entry = _Entry(path, data.tell(), values.shape, zlib.crc32(values))
                data.write(values.data)
            with open(path.with_suffix(".index"), "ab") as index:
                index.write(RECORD.pack(key, entry.offset, *entry.shape, entry.crc))
        except OSError as error:
            LOG.warning("%s: no more features are kept there (%s)", self.folder, error.strerror)
            self.limit = 0
        else:
            self._entries[key] = entry

    def _used(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("*.data"))

    def _read_index(self, index: Path) -> None:
        path, content = index.with_suffix(".data"), index.read_bytes()
        size = os.path.getsize(path) if path.exists() else 0
        for key, offset, *shape, crc in RECORD.iter_unpack(content[:len(content) // RECORD.size * RECORD.size]):
            if offset + 4 * np.prod(shape, dtype=np.int64) <= size:
                self._entries[key] = _Entry(path, offset, tuple(shape), crc)
