"""Writer of packed frames: each job fills its own shards, and finished shards survive an interruption.

A shard is written under a temporary name and renamed when full (files: `m2d.data.format`).
"""

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from m2d.audio.statistics import Moments
from m2d.common.errors import OtherRunError, UserError
from m2d.common.files import read_json, write_json, write_text
from m2d.data.damage import shard_damage, times_of
from m2d.data.format import DTYPES, HEADER_BYTES, as_hex, content_of, header, quantise

LOG = logging.getLogger(__name__)

SHARD_BYTES = 1 << 30
"""Size at which a shard is closed: the most that an interruption can lose."""


class FailureLog:
    """A file of lines `utterance reason`, written by `write`; `allowed` is how many there may be (None: any number)."""

    def __init__(self, path: Path, allowed: int | None = None):
        self.path, self.allowed = path, allowed
        self._reasons: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._reasons)

    def add(self, utterance: str, reason: str) -> None:
        """Note one utterance. Raises `UserError`, with the file written, when there are more than allowed."""
        LOG.warning("%s left out: %s", utterance, reason)
        self._reasons[utterance] = reason
        if self.allowed is not None and len(self) > self.allowed:
            self.write()
            raise UserError(f"{self.path}: lists {len(self)} unusable utterances, more than the {self.allowed} "
                            "allowed: mend the data, or raise max_bad_share")

    def status(self, clips: int) -> int:
        """The exit status where any of `clips` may have failed: 1, with the file written, or 0."""
        if self:
            self.write()
            LOG.warning("%d of %d clips could not be read: see %s", len(self), clips, self.path)
        else:
            self.path.unlink(missing_ok=True)  # of an earlier call
        return int(bool(self))

    def write(self) -> None:
        """Write the file, sorted by utterance, even if nothing failed."""
        write_text(self.path, "".join(f"{utterance} {reason}\n" for utterance, reason in sorted(self._reasons.items())))



class Writer:
    """Destination of frames: `done` holds the utterances written so far, `finished` whether the job is complete.

    The end of its block keeps finished work; without an error, it marks the job as complete.
    """

    finished = False

    def __init__(self, failed: FailureLog):
        self.failed, self.done = failed, set[str]()

    def append(self, utterance: str, frames: np.ndarray) -> None:
        """Store the frames `[T, D]` of one utterance."""
        raise NotImplementedError

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        pass


class PackedWriter(Writer):
    """Context manager that appends utterances to the shards of one job and keeps finished ones on an error.

    `name` is the job's name, unique in the folder (`logmel.3`); `jobs` is how many jobs fill the folder together, so
    that a merge can tell that one is missing. `info` describes the frames (settings, model) and must be the same in all
    jobs. A new writer of the same name goes on after the last whole shard: `done` holds the utterances that are there,
    `finished` says that the job was closed before and nothing is left to do. Shards that are no longer whole are
    dropped, to be made again. `failed` takes utterances without frames, at most `max_failures`.

    Raises `OtherRunError` when the job was begun with other settings, `UserError` when the folder can't be written.
    """

    def __init__(self, directory: str | Path, name: str, width: int, dtype: str = "float16", *, jobs: int = 1,
                 info: dict[str, Any] | None = None, max_failures: int | None = None, shard_bytes: int = SHARD_BYTES):
        self.directory = Path(directory)
        self.name, self.width, self.dtype = name, width, DTYPES[dtype]
        self._about = {"width": width, "dtype": dtype, "jobs": jobs, "info": info or {}}
        self._shard_bytes = shard_bytes
        super().__init__(FailureLog(self.directory / f"{name}.failed", max_failures))
        self.directory.mkdir(parents=True, exist_ok=True)
        parts = read_parts(self.directory, name)
        self.finished = _marker(self.directory, name).is_file()
        if self.finished:
            check_same(self.directory, name, read_json(_marker(self.directory, name)), self._about)
        for shard, part in list(parts.items()):
            check_same(self.directory, name, part, self._about)
            if reason := shard_damage(self.directory, shard, part["rows"], width, self.dtype, part.get("times", {})):
                LOG.warning("%s: its utterances are done again", reason)
                self.finished = False
                _marker(self.directory, name).unlink(missing_ok=True)
                (self.directory / f"{shard}.part.json").unlink()
                del parts[shard]
        self.done = {utterance for part in parts.values() for utterance, _, _ in part["utterances"]}
        self._next = 1 + max((int(shard.rpartition("-")[2]) for shard in parts), default=-1)
        self._shard: _Shard | None = None

    def append(self, utterance: str, frames: np.ndarray) -> None:
        """Add frames `[T, D]`, T >= 1. `UserError` for frames not finite in float16, a bad or a known id."""
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

    def close(self) -> None:
        """Finish the last shard and mark the job as done, unless it already is."""
        if self.finished:
            return
        with self._disk():
            if self._shard is not None:
                self._finish_shard()
            self.failed.write()
            write_json(_marker(self.directory, self.name), {
                **self._about, "utterances": len(self.done), "failed": len(self.failed)})
        self.finished = True

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            self.close()
        elif self._shard is not None:
            try:
                self._finish_shard()
            except OSError:
                self._shard.discard()

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
        self.rows, self.content, self.moments = 0, 0, Moments()
        self.utterances: list[tuple[str, int, int]] = []  # id, first row, number of rows
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
        arrays = [rows] if scale is None else [rows, scale]
        for stream, array in zip(self._streams.values(), arrays, strict=True):
            stream.write(np.ascontiguousarray(array))
        self.moments.add(rows if scale is None else rows * scale[:, None].astype(np.float64))
        self.content += content_of(utterance, rows, scale)
        self.utterances.append((utterance, self.rows, len(rows)))
        self.rows += len(rows)

    def finish(self, about: dict[str, Any]) -> None:
        shapes = {f"{self.name}.npy": ((self.rows, self.width), self.dtype),
                  f"{self.name}.scale.npy": ((self.rows,), DTYPES["float16"])}
        for file, stream in self._streams.items():
            shape, dtype = shapes[file]
            stream.truncate(HEADER_BYTES + math.prod(shape) * dtype.itemsize)
            stream.seek(0)
            stream.write(header(shape, dtype))
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
            os.replace(self._temporary(file), self.directory / file)
        write_json(self.directory / f"{self.name}.part.json", {
            **about, "rows": self.rows, "sum": self.moments.total, "squares": self.moments.squares,
            "content": as_hex(self.content), "times": times_of(self.directory, self.name, self.dtype),
            "utterances": self.utterances})

    def discard(self) -> None:
        for file, stream in self._streams.items():
            stream.close()
            self._temporary(file).unlink(missing_ok=True)


def check_same(directory: Path, name: str, found: dict, wanted: dict) -> None:
    """Raise `OtherRunError` when a job or shard was made with other settings than `wanted`."""
    for key in ("width", "dtype", "jobs", "info"):
        if found[key] != wanted[key]:
            raise OtherRunError(f"{directory}: {name} was made with {key} {found[key]}, now it is {wanted[key]}: "
                                "give another folder, or remove this one")


def read_parts(directory: Path, name: str | None = None) -> dict[str, dict]:
    """The whole shards of a folder, or of one job, by name."""
    parts = {}
    for path in directory.glob("*.part.json" if name is None else f"{name}-*.part.json"):
        parts[path.name.removesuffix(".part.json")] = read_json(path)
    return parts


def _marker(directory: Path, name: str) -> Path:
    return directory / f"{name}.done"
