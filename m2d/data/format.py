"""The packed-frame store: which files a folder holds and how rows are laid out in them.

    NAME.npy         a shard: rows [rows, width], float16 or int8, of whole utterances one after the other
    NAME.scale.npy   [rows] float16, the scale of each int8 row
    NAME.part.json   the shard's utterances, content and times; written after it: a shard without it is not whole
    JOB.done         the job has seen all its utterances
    JOB.failed       utterances that could not be made into frames, with the reason
    index            text table over all shards (see `m2d.data.index`)
    meta.json        width, dtype, totals, what the frames are, `content` (see `m2d.data.format`), the shards and
                     their files' modification times (see `m2d.data.damage`)
    stats.json       scalar mean and standard deviation over all frames and bins
"""

import hashlib
from pathlib import Path

import numpy as np

from m2d.common.errors import UserError
from m2d.common.files import existing_file, read_json

DTYPES = {"float16": np.dtype("<f2"), "int8": np.dtype("i1")}

HEADER_BYTES = 128
"""Size of the `.npy` header of every shard, whatever its number of rows."""

META_KEYS = {"width", "dtype", "frames", "utterances", "info", "content", "shards"}


def is_store(path: str | Path) -> bool:
    """Whether a folder is a merged store."""
    return (Path(path) / "meta.json").is_file()


def header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """A version 1.0 `.npy` header of `HEADER_BYTES`, so that it can be written after the rows are counted."""
    text = repr({"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
    length = HEADER_BYTES - 10
    return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.ljust(length - 1).encode() + b"\n"


def quantise(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames `[T, D]` as int8 `[T, D]` and one float16 scale per frame `[T]`: value = int8 * scale."""
    frames = frames.astype(np.float32)
    scale = (np.abs(frames).max(axis=1) / 127).astype(np.float16)
    steps = np.divide(frames, scale[:, None], out=np.zeros_like(frames), where=scale[:, None] > 0)
    return np.rint(steps).clip(-127, 127).astype(np.int8), scale


def read_meta(directory: str | Path) -> dict:
    """`meta.json` of a store. Raises `UserError` if the folder is not a finished store."""
    path = existing_file(Path(directory) / "meta.json", f"file: {directory} is no finished feature store; run the "
                         f"feature stage, then 'python -m m2d.bin.merge_features dir={directory}'")
    try:
        meta = read_json(path)
        if not meta.keys() >= META_KEYS or meta["dtype"] not in DTYPES or not isinstance(meta["shards"], dict):
            raise KeyError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: not the description of a feature store: delete {directory} and run the feature stage "
                        "again") from error
    return meta


def content_of(utterance: str, rows: np.ndarray, scale: np.ndarray | None) -> int:
    """A 128-bit number for one utterance: its id, its rows `[T, D]` and their scales `[T]` as they are stored.

    The content of a store is the sum over its utterances, so it is the same for any number of jobs.
    """
    digest = hashlib.blake2b(f"{utterance} {rows.shape}".encode(), digest_size=16)
    for part in (rows, scale):
        if part is not None:
            digest.update(np.ascontiguousarray(part))
    return int.from_bytes(digest.digest(), "big")


def as_hex(content: int) -> str:
    """A sum of `content_of`, modulo 2**128, as 32 hex digits."""
    return f"{content % 2**128:032x}"
