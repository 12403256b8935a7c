"""Whether the shards of a store are as they were written.

Opening a store costs one `stat` per file: size and modification time are compared with those recorded. A shard whose
time differs (a copy, a restored backup, an edit) is read and compared by content; the new times are then recorded.
"""

import contextlib
import logging
from pathlib import Path
from typing import Any

import numpy as np

from m2d.common.files import read_json, write_json
from m2d.data.format import DTYPES, HEADER_BYTES, as_hex, content_of

LOG = logging.getLogger(__name__)


def times_of(directory: Path, shard: str, dtype: np.dtype) -> dict[str, int]:
    """Modification times (ns) of a shard's files, by their names."""
    return {file: (directory / file).stat().st_mtime_ns for file in _row_bytes(shard, 0, dtype)}


def shard_damage(directory: Path, shard: str, rows: int, width: int, dtype: np.dtype, times: dict[str, int]) -> str:
    """What is wrong with a shard's files: missing, cut, or changed since they were written; empty when they are whole.

    `times` are those recorded (see `times_of`). `part.json` of the shard is read only where they differ.
    """
    for file, row_bytes in _row_bytes(shard, width, dtype).items():
        try:
            size = (directory / file).stat().st_size
        except FileNotFoundError:
            return f"{directory / file}: shard is missing"
        if size != HEADER_BYTES + rows * row_bytes:
            return f"{directory / file}: shard has {size} bytes instead of {HEADER_BYTES + rows * row_bytes}"
    if times_of(directory, shard, dtype).items() <= times.items():
        return ""
    LOG.info("%s: not of the time recorded: its content is checked", directory / f"{shard}.npy")
    try:
        part = read_json(directory / f"{shard}.part.json")
        same = _content(directory, shard, width, dtype, part["utterances"]) == part["content"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{directory / shard}.part.json: can't be read ({error})"
    return "" if same else f"{directory / shard}.npy: shard was changed after it was written"


def store_damage(directory: Path, meta: dict[str, Any]) -> str:
    """What is wrong with the first damaged shard of a store with this `meta.json`; empty when all are whole."""
    dtype, known = DTYPES[meta["dtype"]], meta.get("times", {})
    for shard, rows in meta["shards"].items():
        if reason := shard_damage(directory, shard, rows, meta["width"], dtype, known):
            return reason
    times = {file: time for shard in meta["shards"] for file, time in times_of(directory, shard, dtype).items()}
    if times != known:
        with contextlib.suppress(OSError):  # of a store that we may not write, the content is checked every time
            write_json(directory / "meta.json", {**meta, "times": times})
    return ""


def _row_bytes(shard: str, width: int, dtype: np.dtype) -> dict[str, int]:
    """Bytes of one row in each file of a shard."""
    files = {f"{shard}.npy": width * dtype.itemsize}
    if dtype == np.int8:
        files[f"{shard}.scale.npy"] = DTYPES["float16"].itemsize
    return files


def _content(directory: Path, shard: str, width: int, dtype: np.dtype, utterances: list[tuple[str, int, int]]) -> str:
    """Content of a shard as its files have it; utterances are `(id, first row, rows)` in the order of their rows."""
    total = 0
    with contextlib.ExitStack() as files:
        data, *scales = [files.enter_context(open(directory / file, "rb")) for file in _row_bytes(shard, width, dtype)]
        for stream in (data, *scales):
            stream.seek(HEADER_BYTES)
        for utterance, _, rows in utterances:
            frames = np.fromfile(data, dtype, rows * width).reshape(rows, width)
            total += content_of(utterance, frames, np.fromfile(scales[0], np.float16, rows) if scales else None)
    return as_hex(total)
