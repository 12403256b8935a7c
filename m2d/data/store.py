"""Reader of packed frames: utterances are runs of rows in large `.npy` shards, so that a crop reads only its own bytes.

The files are described in `m2d.data.format`. Shards are read by positioned reads instead of a memory map: rows go
straight into the batch, and a file that shrinks or vanishes during a run is a clear error instead of a bus error.
"""

import os
from collections import OrderedDict
from pathlib import Path

import numpy as np

from m2d.common.errors import UserError
from m2d.data.damage import store_damage
from m2d.data.format import DTYPES, HEADER_BYTES, read_meta
from m2d.data.index import Keys, map_entries, open_index

MAX_OPEN_SHARDS = 384
"""Files that a store keeps open: three stores of a terabyte stay below the usual limit of 1,024."""


class PackedStore:
    """A folder of packed frames, validated when opened.

    Attributes: `directory`, `width` (D), `dtype` (as stored), `total_frames`, `content` (hex digest of ids and frames,
    independent of the shards), `info` (the writer's description of the frames), `keys` (sorted utterance ids),
    `entries` (the memory-mapped index). Copies in other processes share the index's pages.

    Raises `UserError` that names the file for a folder that is no store, a corrupt index, and a shard that is missing,
    cut or changed.
    """

    def __init__(self, directory: str | Path):
        self.directory = Path(directory)
        meta = read_meta(self.directory)
        self.width: int = meta["width"]
        self.dtype = DTYPES[meta["dtype"]]
        self.total_frames: int = meta["frames"]
        self.content: str = meta["content"]
        self.info: dict = meta["info"]
        self._shards = list(meta["shards"])
        if reason := store_damage(self.directory, meta):
            raise UserError(f"{reason}: restore the file or run the feature stage again")
        self._map(open_index(self.directory, meta["shards"]))
        if len(self) != meta["utterances"]:
            raise UserError(f"{self.directory}/index: has {len(self)} lines where meta.json says {meta['utterances']}: "
                            f"run 'python -m m2d.bin.merge_features dir={self.directory}'")

    def _map(self, entries: np.ndarray) -> None:
        self.entries = entries
        self.keys = Keys(entries)
        self._open: OrderedDict[str, int] = OrderedDict()

    def __getstate__(self) -> dict:
        return {k: v for k, v in self.__dict__.items() if k not in {"entries", "keys", "_open"}}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._map(map_entries(self.directory))

    def __del__(self) -> None:
        for descriptor in getattr(self, "_open", {}).values():
            os.close(descriptor)

    @property
    def rate(self) -> float:
        """Frames per second of a store of teacher frames; 50 for an older store without this entry."""
        return self.info.get("teacher", {}).get("rate", 50.0)

    @property
    def quantised(self) -> bool:
        """Whether rows are int8 with one scale each."""
        return self.dtype == np.int8

    @property
    def _row_bytes(self) -> int:
        return self.width * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.entries)

    def frames(self, i: int) -> int:
        return int(self.entries[i]["frames"])

    def read(self, i: int, start: int = 0, count: int | None = None) -> np.ndarray:
        """Frames `[T, D]` of the i-th utterance from `start`, at most `count`: float16, or float32 when quantised."""
        here = np.array([i])
        available = self.frames(i) - start
        if not 0 < available <= self.frames(i):
            raise IndexError(f"utterance {self.keys[i]} has {self.frames(i)} frames, none at {start}")
        counts = np.array([available if count is None else min(count, available)])
        out = np.empty((1, counts[0], self.width), self.dtype)
        if not self.quantised:
            self.read_into(out, here, np.array([start]), counts)
            return out[0]
        scale = np.empty((1, counts[0]), np.float16)
        self.read_into(out, here, np.array([start]), counts, scale)
        return out[0] * scale[0, :, None].astype(np.float32)

    def read_into(self, out: np.ndarray, indices: np.ndarray, starts: np.ndarray, counts: np.ndarray,
                  scale: np.ndarray | None = None) -> None:
        """Fill `out[b, :counts[b]]` of `out` `[B, T, D]` with rows as they are stored, from frame `starts[b]`.

        `scale` `[B, T]` float16 receives the rows' scales of a quantised store; other elements are left alone.
        Raises `UserError` that names the shard when it can't be read.
        """
        entries = self.entries[indices]
        firsts = (entries["offset"] + starts).tolist()
        for b, (shard, first, count) in enumerate(zip(entries["shard"].tolist(), firsts, counts.tolist(),
                                                      strict=True)):
            name = self._shards[shard]
            self._fill(f"{name}.npy", out[b, :count], first * self._row_bytes)
            if scale is not None:
                self._fill(f"{name}.scale.npy", scale[b, :count], first * 2)

    def _fill(self, name: str, rows: np.ndarray, position: int) -> None:
        left, position = memoryview(rows).cast("B"), HEADER_BYTES + position
        try:
            while left:  # a read from a network file system, or of over 2 GiB, may return less than requested
                done = os.preadv(self._descriptor(name), [left], position)
                if not done:
                    raise UserError(f"{self.directory / name}: cut off at byte {position}: restore the file or run the "
                                    "feature stage again")
                left, position = left[done:], position + done
        except OSError as error:
            raise UserError(f"{self.directory / name}: can't be read ({error.strerror}): restore the file or run the "
                            "feature stage again") from error

    def _descriptor(self, name: str) -> int:
        descriptor = self._open.get(name)
        if descriptor is None:
            if len(self._open) >= MAX_OPEN_SHARDS:
                os.close(self._open.popitem(last=False)[1])
            descriptor = self._open[name] = os.open(self.directory / name, os.O_RDONLY)
        else:
            self._open.move_to_end(name)
        return descriptor
