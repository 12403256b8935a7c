"""Digest of a packed store: of its utterances and their stored frames, independent of the shards."""

import hashlib

import numpy as np


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
