"""Kaldi data directories: a corpus as a folder of sorted text tables."""

import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from m2d.common.errors import UserError
from m2d.common.files import atomic_directory
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
        if not (path / "wav.scp").is_file():
            raise UserError(f"{path}/wav.scp: no such file: {path} is no data directory; run the data stage first")
        data = cls(**{name: _read_table(path / file, PARSERS.get(name, str)) for name, file in FILES.items()
                      if (path / file).is_file()})
        data._validate(path)
        return data

    def write(self, path: str | Path) -> None:
        """Write the tables that are not empty, sorted, in place of whatever directory is there."""
        self._validate(Path(path))
        with atomic_directory(path) as temporary:
            for name, file in FILES.items():
                table = getattr(self, name)
                if table:
                    lines = (f"{key} {_FORMATS.get(name, str)(table[key])}".rstrip() for key in sorted(table))
                    (temporary / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
            if self.utt2spk:
                lines = (f"{speaker} {' '.join(utterances)}" for speaker, utterances in self.speakers().items())
                (temporary / "spk2utt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _validate(self, path: Path) -> None:
        if not self.wav:
            raise UserError(f"{path}/wav.scp: no recordings in it")
        ids = (self.segments or self.wav).keys()
        for name in PER_UTTERANCE:
            if unknown := getattr(self, name).keys() - ids:
                raise UserError(f"{path}/{FILES[name]}: '{min(unknown)}' is no utterance of this directory")
        if self.utt2spk and (missing := ids - self.utt2spk.keys()):
            raise UserError(f"{path}/utt2spk: has no line for '{min(missing)}'")
        for utterance, (recording, start, end) in self.segments.items():
            if recording not in self.wav:
                raise UserError(f"{path}/segments: '{utterance}' is in recording '{recording}', which wav.scp lacks")
            if not 0 <= start < (np.inf if end == -1 else end):
                raise UserError(f"{path}/segments: '{utterance}' runs from {start} to {end} s")
        for table in (self.wav, self.segments, self.classes):
            if bad := next((key for key in table if not key or key.split() != [key]), None):
                raise UserError(f"{path}: '{bad}' can't be an id: it is empty or has blanks")
        for recording, file in self.wav.items():
            if file.splitlines() != [file.strip()]:
                raise UserError(f"{path}/wav.scp: a line can't hold the file name {file!r}: rename it, without line "
                                "breaks and without blanks at its ends")
            if file.endswith("|"):
                raise UserError(f"{path}/wav.scp: '{recording}' is a command; write its output to a file and give that")


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


def _read_table(path: Path, parse) -> dict:
    table = {}
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        for number, line in enumerate(stream, 1):
            key, _, value = line.strip().partition(" ")
            if not key or key in table:
                raise UserError(f"{path}: line {number}: " + (f"'{key}' is there twice" if key else "empty line"))
            try:
                line.encode("utf-8")
                table[key] = parse(value.strip())
            except ValueError as error:
                raise UserError(f"{path}: line {number}: can't be read: {line.strip()!r}") from error
    return table
