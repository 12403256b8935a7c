"""Kaldi data directories: a corpus as a folder of sorted text tables."""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from m2d.common.errors import UserError
from m2d.common.files import atomic_directory, existing_file
from m2d.data.randomness import permutation


class Segment(NamedTuple):
    """A part of a recording in seconds; an end of -1 is the end of the recording."""

    recording: str
    start: float
    end: float


class Source(NamedTuple):
    """Where an utterance's audio is: the arguments of `m2d.audio.wave.read_audio`, in seconds."""

    path: str
    start: float
    duration: float | None


@dataclass
class DataDir:
    """The tables of a corpus, each a mapping from its first column; tables that a corpus does not have are empty.

    `wav` (`wav.scp`): path of each recording. `segments`: parts of recordings; without it every recording is one
    utterance. `utt2spk`, `text` (transcripts), `utt2dur` (seconds), `utt2num_frames` (log-mel frames), `labels` (tags,
    joined by commas): per utterance. `classes`: what the tags mean. `spk2utt` is written from `utt2spk`, and not read.
    """

    wav: dict[str, str]
    segments: dict[str, Segment] = field(default_factory=dict)
    utt2spk: dict[str, str] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)
    utt2dur: dict[str, float] = field(default_factory=dict)
    utt2num_frames: dict[str, int] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)

    @property
    def utterances(self) -> list[str]:
        return sorted(self.segments or self.wav)

    def __len__(self) -> int:
        return len(self.segments or self.wav)

    def speakers(self) -> dict[str, list[str]]:
        """Utterances of each speaker, both in order (`spk2utt`)."""
        table: dict[str, list[str]] = {}
        for utterance in sorted(self.utt2spk):
            table.setdefault(self.utt2spk[utterance], []).append(utterance)
        return dict(sorted(table.items()))

    def source(self, utterance: str) -> Source:
        """Where the audio of an utterance is."""
        if not self.segments:
            return Source(self.wav[utterance], 0.0, None)
        recording, start, end = self.segments[utterance]
        return Source(self.wav[recording], start, None if end < 0 else end - start)

    def fingerprint(self) -> str:
        """Hex digest of the utterances and their places in recordings, wherever the files lie."""
        digest = hashlib.sha256()
        for utterance in self.utterances:
            digest.update(f"{utterance} {self.segments.get(utterance, '')}\n".encode())
        return digest.hexdigest()

    def subset(self, utterances: Iterable[str]) -> "DataDir":
        """The tables of some of the utterances, and the recordings those are in."""
        chosen = set(utterances)
        recordings = {self.segments[utterance].recording for utterance in chosen} if self.segments else chosen

        def keep(table: dict, ids: set[str]) -> dict:
            return {key: value for key, value in table.items() if key in ids}

        return dataclasses.replace(
            self, wav=keep(self.wav, recordings),
            **{name: keep(getattr(self, name), chosen) for name in PER_UTTERANCE})

    def split(self, job: int, jobs: int) -> "DataDir":
        """The `job`-th (from 1) of `jobs` nearly equal runs of utterances."""
        if not 1 <= job <= jobs:
            raise UserError(f"job={job} jobs={jobs}: jobs are counted from 1 to jobs")
        utterances = self.utterances
        return self.subset(utterances[len(utterances) * (job - 1) // jobs:len(utterances) * job // jobs])

    def hold_out(self, count: int, seed: int = 0) -> "tuple[DataDir, DataDir]":
        """(rest, held out): `count` or a few more utterances of speakers, where known, that the rest does not have.

        Whole speakers (without them, whole recordings) are drawn by `seed` until `count` is reached. Raises `UserError`
        when there would be nothing left.
        """
        group = self.utt2spk or {utterance: self.segments[utterance].recording if self.segments else utterance
                                 for utterance in self.utterances}
        names = sorted(set(group.values()))
        members: dict[str, list[str]] = {name: [] for name in names}
        for utterance, name in group.items():
            members[name].append(utterance)
        held: list[str] = []
        for i in permutation(seed, 0, len(names)):
            if len(held) >= count:
                break
            held += members[names[i]]
        rest = set(group) - set(held)
        if not rest or not held:
            raise UserError(f"{count} utterances can't be held out of {len(group)} by {len(names)} speakers or "
                            "recordings: hold out fewer")
        return self.subset(rest), self.subset(held)

    @classmethod
    def read(cls, path: str | Path) -> "DataDir":
        """Read a directory whose lines are in any order. Raises `UserError` that names the table and line at fault."""
        path = Path(path)
        existing_file(path / "wav.scp", f"file: {path} is no data directory; run the data stage first")
        data = cls({})
        for name, file in FILES.items():
            if (path / file).is_file():
                for fault in read_lines(path / file, PARSERS.get(name, str), getattr(data, name)):
                    raise UserError(fault)
        data._check(path)
        return data

    def write(self, path: str | Path) -> None:
        """Write the tables that are not empty, sorted, in place of whatever directory is there."""
        self._check(path)
        with atomic_directory(path) as temporary:
            for name, file in FILES.items():
                table = getattr(self, name)
                if table:
                    lines = (f"{key} {_FORMATS.get(name, str)(table[key])}".rstrip() for key in sorted(table))
                    (temporary / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
            if self.utt2spk:
                lines = (f"{speaker} {' '.join(utterances)}" for speaker, utterances in self.speakers().items())
                (temporary / "spk2utt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def faults(self) -> Iterator[str]:
        """What is wrong with and between the tables, `FILE: what` each."""
        if not self.wav:
            yield "wav.scp: no recordings in it"
        ids = (self.segments or self.wav).keys()
        for name in PER_UTTERANCE[1:]:
            for key in sorted(getattr(self, name).keys() - ids):
                yield f"{FILES[name]}: '{key}' is no utterance of this directory"
        for key in sorted(ids - self.utt2spk.keys()) if self.utt2spk else ():
            yield f"utt2spk: no line for '{key}'"
        for utterance, (recording, start, end) in self.segments.items():
            if recording not in self.wav:
                yield f"segments: '{utterance}' is in recording '{recording}', which is not in wav.scp"
            if not 0 <= start < (math.inf if end == -1 else end):
                yield f"segments: '{utterance}' runs from {start} to {end} s"
        for name in ("wav", "segments", "classes"):
            for key in getattr(self, name):
                if not key or key.split() != [key]:
                    yield f"{FILES[name]}: '{key}' can't be an id: it is empty or has blanks"
        for recording, file in self.wav.items():
            if file.splitlines() != [file.strip()]:
                yield (f"wav.scp: a line can't hold the file name {file!r}: rename it, without line breaks and without "
                       "blanks at its ends")
            if file.endswith("|"):
                yield f"wav.scp: '{recording}' is a command; write its output to a file and give that"

    def _check(self, path: str | Path) -> None:
        if fault := next(self.faults(), None):
            raise UserError(f"{path}/{fault}")


FILES = {"wav": "wav.scp", **{name: name for name in ("segments", "utt2spk", "text", "utt2dur", "utt2num_frames",
                                                          "labels", "classes")}}
PER_UTTERANCE = ("segments", "utt2spk", "text", "utt2dur", "utt2num_frames", "labels")


def _parse_segment(text: str) -> Segment:
    recording, start, end = text.split()
    return Segment(recording, float(start), float(end))


def _parse_path(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


PARSERS = {"wav": _parse_path, "segments": _parse_segment, "utt2dur": float, "utt2num_frames": int}
_FORMATS = {"segments": lambda s: f"{s.recording} {s.start:.3f} {s.end:.3f}", "utt2dur": lambda s: f"{s:.3f}"}


def read_lines(path: Path, parse: Callable[[str], Any], table: dict[str, Any], ordered: bool = False) -> Iterator[str]:
    """Put the readable lines of a table's file into `table`; what is wrong with others, `FILE: line N: what`.

    With `ordered`, a line whose key is not behind the one before by its bytes is wrong too.
    """
    last = b""
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                key, _, value = line.decode("utf-8").strip().partition(" ")
                if not key or key in table:
                    yield f"{path}: line {number}: " + (f"'{key}' is there twice" if key else "empty line")
                else:
                    table[key] = parse(value.strip())
                    if ordered and key.encode() < last:
                        yield f"{path}: line {number}: '{key}' is not in order (LC_ALL=C sort)"
                    last = key.encode()
            except ValueError:
                yield f"{path}: line {number}: can't be read: {line.decode(errors='replace').strip()!r}"
