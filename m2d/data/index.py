"""The index of a packed store: a text table, and its memory-mapped cache that opens at once and is shared by processes.

The text `index` is authoritative: sorted lines `utterance shard:offset:frames`, offset and frames in rows of the shard.
The cache `index.npy` holds the same as one structured array. Its modification time is set to that of the text that it
was made from, and it is rebuilt when the two differ.
"""

import bisect
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from m2d.common.errors import UserError
from m2d.common.files import atomic_open, existing_file

_BLOCK = 1 << 24
_FIELDS = ("utterance", "shard", "frames", "offset")


def open_index(directory: Path, shards: dict[str, int]) -> np.ndarray:
    """Entries `[n]` with the fields utterance (bytes), shard (position in `shards`), frames, offset; memory-mapped.

    `shards` maps each shard's name to its number of rows. Raises `UserError` for a missing or corrupt text index.
    """
    text, cache = directory / "index", directory / "index.npy"
    existing_file(text, f"index: run the feature stage (or m2d.bin.merge_features dir={directory})")
    is_current = cache.is_file() and cache.stat().st_mtime_ns == text.stat().st_mtime_ns
    entries = map_entries(directory) if is_current else None
    if entries is None:
        _write_cache(cache, text, _parse(text, shards))
        entries = map_entries(directory)
    return entries


def map_entries(directory: Path) -> np.ndarray | None:
    """The memory-mapped index cache; None if it is damaged."""
    try:
        entries = np.asarray(np.load(directory / "index.npy", mmap_mode="r"))  # np.memmap's own indexing is slow
    except (ValueError, EOFError):
        return None
    return entries if entries.dtype.names == _FIELDS else None


class Keys(Sequence):
    """The utterance ids of an index, sorted, decoded one at a time so that two million cost no memory."""

    def __init__(self, entries: np.ndarray):
        self._ids = entries["utterance"]

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, i: int) -> str:
        return self._ids[i].decode()

    def find(self, utterance: str) -> int:
        key = np.bytes_(utterance.encode())
        i = bisect.bisect_left(self._ids, key)
        return i if i < len(self._ids) and self._ids[i] == key else -1

    def __contains__(self, utterance: object) -> bool:
        return isinstance(utterance, str) and self.find(utterance) >= 0


def _write_cache(cache: Path, text: Path, entries: np.ndarray) -> None:
    stamp = text.stat().st_mtime_ns
    try:
        with atomic_open(cache, "wb") as stream:
            np.save(stream, entries)
            stream.flush()
            os.utime(stream.name, ns=(stamp, stamp))
    except OSError as error:
        raise UserError(f"{cache}: is missing or not made from {text}, and can't be written ({error.strerror}): run "
                        f"'python -m m2d.bin.merge_features dir={cache.parent}' as the owner of the folder") from error


def _parse(text: Path, shards: dict[str, int]) -> np.ndarray:
    """All lines, block by block, because a list of two million Python strings would take most of a gigabyte."""
    numbers = {name.encode(): i for i, name in enumerate(shards)}
    blocks = []
    with open(text, "rb") as stream:
        while lines := stream.readlines(_BLOCK):
            blocks.append(_parse_block(text, lines, numbers, sum(map(len, blocks))))
    if not blocks:
        raise UserError(f"{text}: empty index: run the feature stage again")
    width = max(block["utterance"].dtype.itemsize for block in blocks)
    entries = np.empty(sum(map(len, blocks)), _dtype(width))
    np.concatenate(blocks, out=entries)
    rows = np.array(list(shards.values()), np.int64)
    wrong = (entries["frames"] <= 0) | (entries["offset"] < 0) \
        | (entries["offset"] + entries["frames"] > rows[entries["shard"]])
    wrong[1:] |= entries["utterance"][1:] <= entries["utterance"][:-1]
    if wrong.any():
        raise _corrupt(text, int(wrong.argmax()) + 1, "not in order, or outside its shard")
    return entries


def _parse_block(text: Path, lines: list[bytes], numbers: dict[bytes, int], done: int) -> np.ndarray:
    words = b"".join(lines).split()
    places = b":".join(words[1::2]).split(b":")
    if len(words) != 2 * len(lines) or len(places) != 3 * len(lines) or not lines[-1].endswith(b"\n"):
        for number, line in enumerate(lines, done + 1):
            if len(line.split()) != 2 or line.count(b":", line.find(b" ")) != 2 or not line.endswith(b"\n"):
                raise _corrupt(text, number, "expected 'utterance shard:offset:frames'")
    utterances = np.array(words[0::2])
    entries = np.empty(len(lines), _dtype(utterances.dtype.itemsize))
    entries["utterance"] = utterances
    try:
        entries["shard"] = np.fromiter((numbers[name] for name in places[0::3]), np.int32, len(lines))
    except KeyError as error:
        raise _corrupt(text, done + 1 + places[0::3].index(error.args[0]),
                       f"shard '{error.args[0].decode()}' is not in meta.json") from error
    try:
        entries["offset"] = np.array(places[1::3]).astype(np.int64)
        entries["frames"] = np.array(places[2::3]).astype(np.int32)
    except (ValueError, OverflowError) as error:
        raise _corrupt(text, done + 1, "or after it: offset and frames must be whole numbers") from error
    return entries


def _dtype(width: int) -> np.dtype:
    return np.dtype([("utterance", f"S{width}"), ("shard", "<i4"), ("frames", "<i4"), ("offset", "<i8")])


def _corrupt(text: Path, line: int, reason: str) -> UserError:
    return UserError(f"{text}: corrupt at line {line} ({reason}): make it again with "
                     f"'python -m m2d.bin.merge_features dir={text.parent}'")
