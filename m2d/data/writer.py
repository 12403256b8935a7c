"""Packed frames, writing: each job fills shards of its own; what is finished survives an interruption.

A shard is written under a temporary name and renamed when full; its `NAME.part.json` (utterances, sums for statistics
and content) comes after it and says that it is whole. `JOB.done` says that the job has seen all its utterances, and
`JOB.failed` lists those that could not be made into frames, with the reason.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from m2d.common.errors import UserError
from m2d.common.files import atomic_open, write_json, write_text
from m2d.data.content import as_hex, content_of
from m2d.data.index import open_index

LOG = logging.getLogger(__name__)
DTYPES = {"float16": np.dtype("<f2"), "int8": np.dtype("i1")}

HEADER_BYTES = 128
"""Size of the `.npy` header of every shard, whatever its number of rows."""

SHARD_BYTES = 1 << 30
"""A shard is closed when it has grown to this: the most work that an interruption can cost."""


class PackedWriter:
    """Appends utterances to the shards of one job; a context manager: left by an error, it keeps what is finished.

    `name` is the job's name, unique in the folder (`logmel.3`); `jobs` is how many jobs fill the folder together, so
    that a merge can tell that one is missing. `info` describes the frames (settings, model) and must be the same in all
    jobs. A new writer of the same name goes on after the last whole shard: `done` holds the utterances that are there,
    `finished` says that the job was closed before and nothing is left to do. Shards that are no longer whole are
    dropped, to be made again. More than `max_failures` calls of `fail` are an error.

    Raises `UserError` when the folder was begun with other settings and when it can't be written.
    """

    def __init__(self, directory: str | Path, name: str, width: int, dtype: str = "float16", *, jobs: int = 1,
                 info: dict[str, Any] | None = None, max_failures: int | None = None, shard_bytes: int = SHARD_BYTES):
        self.directory = Path(directory)
        self.name, self.width, self.dtype = name, width, DTYPES[dtype]
        self._about = {"width": width, "dtype": dtype, "jobs": jobs, "info": info or {}}
        self._shard_bytes, self._max_failures = shard_bytes, max_failures
        self._failed: dict[str, str] = {}
        self.directory.mkdir(parents=True, exist_ok=True)
        parts = _read_parts(self.directory, name)
        for shard, part in list(parts.items()):
            _check_same(self.directory, name, part, self._about)
            if reason := damage(self.directory, shard, part["rows"], part["width"], self.dtype):
                LOG.warning("%s: its utterances are done again", reason)
                _marker(self.directory, name).unlink(missing_ok=True)
                (self.directory / f"{shard}.part.json").unlink()
                del parts[shard]
        self.done = {utterance for part in parts.values() for utterance, _, _ in part["utterances"]}
        self._next = 1 + max((int(shard.rpartition("-")[2]) for shard in parts), default=-1)
        self.finished = _marker(self.directory, name).is_file()
        self._shard: _Shard | None = None

    @property
    def failures(self) -> int:
        """How many utterances this writer was told to have failed."""
        return len(self._failed)

    def append(self, utterance: str, frames: np.ndarray) -> None:
        """Add the frames `[T, D]` (float, T >= 1) of one utterance.

        Raises `UserError` for frames that are not finite numbers in float16, an id with blanks or one already there.
        """
        if utterance in self.done or not utterance or utterance.split() != [utterance]:
            raise UserError(f"{self.directory}: utterance id '{utterance}' is empty, has blanks or is there twice")
        if frames.ndim != 2 or frames.shape[1] != self.width or not len(frames):
            raise ValueError(f"{utterance}: frames {frames.shape} where [T >= 1, {self.width}] is expected")
        with np.errstate(over="ignore", invalid="ignore"):
            rows, scale = quantise(frames) if self.dtype == np.int8 else (frames.astype(self.dtype), None)
        if not np.isfinite(rows if scale is None else scale).all():
            raise UserError(f"{self.directory}: frames of '{utterance}' are not finite numbers in float16")
        with self._disk():
            if self._shard is None:
                self._shard = _Shard(self.directory, f"{self.name}-{self._next}", self.width, self.dtype)
            self._shard.append(utterance, rows, scale)
            self.done.add(utterance)
            if self._shard.rows * self.width * self.dtype.itemsize >= self._shard_bytes:
                self._finish_shard()

    def fail(self, utterance: str, reason: str) -> None:
        """Note that an utterance can't be made into frames. Raises `UserError` when there are more than allowed."""
        LOG.warning("%s left out: %s", utterance, reason)
        self._failed[utterance] = reason
        if self._max_failures is not None and len(self._failed) > self._max_failures:
            self._write_failed()
            raise UserError(f"{self.directory / self.name}.failed: lists {len(self._failed)} unusable utterances, more "
                            f"than the {self._max_failures} allowed: mend the data, or raise max_bad_share")

    def close(self) -> None:
        """Finish the last shard and mark the job as done, unless it was done before."""
        if self.finished:
            return
        with self._disk():
            if self._shard is not None:
                self._finish_shard()
            self._write_failed()
            write_json(_marker(self.directory, self.name), {
                **self._about, "utterances": len(self.done), "failed": len(self._failed)})
        self.finished = True

    def __enter__(self) -> PackedWriter:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            self.close()
        elif self._shard is not None:
            try:
                self._finish_shard()
            except OSError:
                self._shard.discard()

    def _write_failed(self) -> None:
        write_text(self.directory / f"{self.name}.failed",
                   "".join(f"{utterance} {reason}\n" for utterance, reason in sorted(self._failed.items())))

    def _finish_shard(self) -> None:
        self._shard.finish(self._about)
        self._shard = None
        self._next += 1

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"{self.directory}: can't be written ({error.strerror}): what is finished is kept; free "
                            "some space and start the stage again") from error


class _Shard:
    """One pair of files being written: rows, and scales when quantised."""

    def __init__(self, directory: Path, name: str, width: int, dtype: np.dtype):
        self.directory, self.name, self.width, self.dtype = directory, name, width, dtype
        self.rows, self.sum, self.squares, self.content = 0, 0.0, 0.0, 0
        self.utterances: list[tuple[str, int, int]] = []
        self._streams = {f"{name}.npy": self._start(f"{name}.npy")}
        if dtype == np.int8:
            self._streams[f"{name}.scale.npy"] = self._start(f"{name}.scale.npy")

    def _temporary(self, file: str) -> Path:
        return self.directory / f".{file}.tmp"

    def _start(self, file: str):
        stream = open(self._temporary(file), "wb")  # noqa: SIM115 (stays open from call to call)
        stream.write(bytes(HEADER_BYTES))
        return stream

    def append(self, utterance: str, rows: np.ndarray, scale: np.ndarray | None) -> None:
        self._streams[f"{self.name}.npy"].write(np.ascontiguousarray(rows))
        values = rows.astype(np.float64)
        if scale is not None:
            self._streams[f"{self.name}.scale.npy"].write(scale)
            values *= scale[:, None]
        self.sum += float(values.sum())
        self.squares += float(np.square(values, out=values).sum())
        self.utterances.append((utterance, self.rows, len(rows)))
        self.rows += len(rows)
        self.content += content_of(utterance, rows, scale)

    def finish(self, about: dict[str, Any]) -> None:
        shapes = {f"{self.name}.npy": ((self.rows, self.width), self.dtype),
                  f"{self.name}.scale.npy": ((self.rows,), DTYPES["float16"])}
        for file, stream in self._streams.items():
            shape, dtype = shapes[file]
            stream.truncate(HEADER_BYTES + math.prod(shape) * dtype.itemsize)
            stream.seek(0)
            stream.write(_header(shape, dtype))
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
            os.replace(self._temporary(file), self.directory / file)
        write_json(self.directory / f"{self.name}.part.json", {
            **about, "rows": self.rows, "sum": self.sum, "squares": self.squares, "utterances": self.utterances,
            "content": as_hex(self.content)})

    def discard(self) -> None:
        for file, stream in self._streams.items():
            stream.close()
            self._temporary(file).unlink(missing_ok=True)


def quantise(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames `[T, D]` as int8 `[T, D]` and one float16 scale per frame `[T]`: value = int8 * scale."""
    frames = frames.astype(np.float32)
    scale = (np.abs(frames).max(axis=1) / 127).astype(np.float16)
    steps = np.divide(frames, scale[:, None], out=np.zeros_like(frames), where=scale[:, None] > 0)
    return np.rint(steps).clip(-127, 127).astype(np.int8), scale


def damage(directory: Path, shard: str, rows: int, width: int, dtype: np.dtype) -> str:
    """What is wrong with a shard's files (missing, not the bytes of header and rows); empty when they are whole."""
    sizes = {f"{shard}.npy": rows * width * dtype.itemsize}
    if dtype == np.int8:
        sizes[f"{shard}.scale.npy"] = rows * DTYPES["float16"].itemsize
    for file, content in sizes.items():
        try:
            size = (directory / file).stat().st_size
        except FileNotFoundError:
            return f"{directory / file}: shard is missing"
        if size != HEADER_BYTES + content:
            return f"{directory / file}: shard has {size} bytes instead of {HEADER_BYTES + content}"
    return ""


def merge_index(directory: str | Path, max_bad_share: float = 0.01) -> dict[str, Any]:
    """Merge the jobs of a folder into `index`, `meta.json` and `stats.json`; the content of the last is returned.

    The statistics are the scalar mean and standard deviation over all frames and bins: `{"mean", "std", "frames"}`.
    Raises `UserError` for a job that is missing or unfinished, settings that differ, an utterance that two jobs have,
    and when more than `max_bad_share` of all utterances failed.
    """
    directory = Path(directory)
    parts = _read_parts(directory)
    _check_jobs(directory, parts, max_bad_share)
    shards = {shard: part["rows"] for shard, part in sorted(parts.items())}
    lines = sorted((utterance.encode(), f"{shard}:{offset}:{frames}") for shard, part in parts.items()
                   for utterance, offset, frames in part["utterances"])
    for (one, _), (other, _) in itertools.pairwise(lines):
        if one == other:
            raise UserError(f"{directory}: utterance '{one.decode()}' is in two jobs: delete the folder and run again")
    if not lines:
        raise UserError(f"{directory}: no utterance could be made into features: see the .failed lists there")
    rows, about = sum(shards.values()), next(iter(parts.values()))
    with atomic_open(directory / "index", "wb") as stream:
        stream.writelines(utterance + f" {place}\n".encode() for utterance, place in lines)
    open_index(directory, shards)
    write_json(directory / "meta.json", {
        "width": about["width"], "dtype": about["dtype"], "info": about["info"], "utterances": len(lines),
        "frames": rows, "shards": shards,
        "content": as_hex(sum(int(part["content"], 16) for part in parts.values()))})
    count = rows * about["width"]
    mean = sum(part["sum"] for part in parts.values()) / count
    variance = max(0.0, sum(part["squares"] for part in parts.values()) / count - mean**2)
    stats = {"mean": mean, "std": variance**0.5, "frames": rows}
    write_json(directory / "stats.json", stats)
    return stats


def _check_jobs(directory: Path, parts: dict[str, dict], max_bad_share: float) -> None:
    markers = {path.name.removesuffix(".done"): json.loads(path.read_text()) for path in directory.glob("*.done")}
    if not markers:
        raise UserError(f"{directory}: no finished job there: run the feature stage first")
    unfinished = sorted({shard.rpartition("-")[0] for shard in parts} - markers.keys())
    jobs = max(marker["jobs"] for marker in markers.values())
    if unfinished or len(markers) != jobs:
        raise UserError(f"{directory}: {len(markers)} of {jobs} jobs are done"
                        + (f", {unfinished[0]} is unfinished" if unfinished else "") + ": run the feature stage again")
    failed = sum(marker["failed"] for marker in markers.values())
    total = failed + sum(marker["utterances"] for marker in markers.values())
    if failed > max_bad_share * total:
        raise UserError(f"{directory}: {failed} of {total} utterances failed (listed in its .failed files), more than "
                        f"max_bad_share={max_bad_share}: mend the data, or raise it")
    LOG.info("%s: %d utterances from %d jobs, %d more failed", directory, total - failed, jobs, failed)
    first = next(iter(markers.values()))
    for name, about in [*markers.items(), *parts.items()]:
        _check_same(directory, name, about, first)


def _check_same(directory: Path, name: str, found: dict, wanted: dict) -> None:
    for key in ("width", "dtype", "jobs", "info"):
        if found[key] != wanted[key]:
            raise UserError(f"{directory}: {name} was made with {key} {found[key]}, now it is {wanted[key]}: "
                            "go on with the first, or delete the folder")


def _read_parts(directory: Path, name: str | None = None) -> dict[str, dict]:
    """The whole shards of a folder, or of one job, by name."""
    parts = {}
    for path in directory.glob("*.part.json" if name is None else f"{name}-*.part.json"):
        parts[path.name.removesuffix(".part.json")] = json.loads(path.read_text(encoding="utf-8"))
    return parts


def _marker(directory: Path, name: str) -> Path:
    return directory / f"{name}.done"


def _header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """A version 1.0 `.npy` header of `HEADER_BYTES`, so that it can be written after the rows are counted."""
    text = repr({"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
    length = HEADER_BYTES - 10
    return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.ljust(length - 1).encode() + b"\n"
