"""The table of one task: which file has which label and belongs to which part, as text on disk.

A prepared task is a folder with `table.csv` (`file_name,label,split` or `file_name,label,fold`) and `task.json`. A
user's own table has the form of `table.csv`, so that a published split is reproduced by naming its file.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from m2d.common.errors import UserError
from m2d.common.files import atomic_directory, write_json, write_text

SPLITS = ("train", "valid", "test")


class Clip(NamedTuple):
    """One file of a task: its path below the data set's folder, its label, its split or fold.

    The label of a multi-label task is its labels joined by commas.
    """

    file_name: str
    label: str
    part: str


class Listing(NamedTuple):
    """What a data set's official lists say: the clips that are there and the listed files that are not."""

    clips: list[Clip]
    missing: list[Clip]


@dataclass(frozen=True)
class TaskSpec:
    """What is known of a task before any file is seen. `read(root, lists, seed)` turns the official download into rows.

    `seconds` is the length to which clips are cut or padded, the data set's average in the papers; `official` the
    number of clips of the full data set; `incomplete` says that missing clips are normal and only counted.
    """

    name: str
    title: str
    group: str
    seconds: float
    official: int | None
    tree: str
    read: Callable[[Path, Path, int], Listing]
    split: str
    audio_dirs: tuple[str, ...] = ("",)
    multilabel: bool = False
    incomplete: bool = False
    classes: Callable[[Path], list[str]] | None = None


@dataclass
class Task:
    """A prepared task. `clips[i].label` holds names; `classes` is their order in every classifier and matrix."""

    name: str
    title: str
    group: str
    root: str
    seconds: float
    split: str
    classes: list[str]
    multilabel: bool = False
    official: int | None = None
    missing: dict[str, int] = field(default_factory=dict)
    missing_files: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)

    @property
    def has_folds(self) -> bool:
        """Whether the parts are folds, to be tested in turn, and not train, valid and test."""
        return self.clips[0].part not in SPLITS

    @property
    def parts(self) -> list[str]:
        """The folds in numeric order, or the splits there are in the order train, valid, test."""
        present = {clip.part for clip in self.clips}
        return sorted(present, key=natural) if self.has_folds else [part for part in SPLITS if part in present]

    def path(self, clip: Clip) -> Path:
        """Where a clip's audio is."""
        return Path(self.root) / clip.file_name

    def counts(self) -> dict[str, int]:
        """Number of clips in each part."""
        count = Counter(clip.part for clip in self.clips)
        return {part: count[part] for part in self.parts}

    def digest(self) -> str:
        """A name for the content: changes with any row, the order, the classes, the length and the folder."""
        text = json.dumps([self.root, self.seconds, self.classes, self.clips])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def write(self, directory: str | Path) -> None:
        """Write `table.csv` and `task.json` into a folder, whole or not at all."""
        with atomic_directory(directory) as folder:
            write_text(folder / "table.csv", table_text(self.clips, self.has_folds))
            write_json(folder / "task.json", {k: v for k, v in asdict(self).items() if k != "clips"})

    @classmethod
    def read(cls, directory: str | Path) -> Task:
        """Read back what `write` wrote. Raises `UserError` for a folder that is no prepared task."""
        directory = Path(directory)
        if not (directory / "task.json").is_file():
            raise UserError(f"{directory}: no prepared task here: run m2d.bin.prepare_task first")
        fields = json.loads((directory / "task.json").read_text(encoding="utf-8"))
        return cls(**fields, clips=read_table(directory / "table.csv"))


def natural(part: str) -> tuple[int, str]:
    """Sorting key under which fold 10 comes after fold 9."""
    return (int(part), "") if part.isdigit() else (1 << 30, part)


def table_text(clips: list[Clip], folds: bool) -> str:
    """The rows as CSV text with its header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file_name", "label", "fold" if folds else "split"])
    writer.writerows(clips)
    return text.getvalue()


def read_table(path: str | Path) -> list[Clip]:
    """Rows of a split table `file_name,label,split` or `file_name,label,fold`, in the file's order.

    Raises `UserError` for a missing file, a wrong header, an empty cell, a split that is not train, valid or test,
    a file named twice and a table without rows.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such split table")
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream, skipinitialspace=True)
        header = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = header
        part = "fold" if "fold" in header else "split"
        if not {"file_name", "label", part} <= set(header):
            raise UserError(f"{path}: its first line must be 'file_name,label,split' or 'file_name,label,fold'")
        clips, seen = [], set()
        for row in reader:
            clip = Clip(*((row[key] or "").strip() for key in ("file_name", "label", part)))
            if not all(clip):
                raise UserError(f"{path}:{reader.line_num}: a cell of file_name, label or {part} is empty")
            if part == "split" and clip.part not in SPLITS:
                raise UserError(f"{path}:{reader.line_num}: split '{clip.part}' is not one of train, valid, test")
            if clip.file_name in seen:
                raise UserError(f"{path}:{reader.line_num}: {clip.file_name} is in the table twice")
            seen.add(clip.file_name)
            clips.append(clip)
    if not clips:
        raise UserError(f"{path}: no rows in this split table")
    return clips
