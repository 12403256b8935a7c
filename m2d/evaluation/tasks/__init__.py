"""Evaluation tasks, one module each. A new one is a new module with a reader of its download under `@task(...)`."""

import csv
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from m2d.audio.wave import EXTENSIONS
from m2d.common.registry import Registry
from m2d.evaluation.tables import Clip


class Listing(NamedTuple):
    """A data set's official lists: the clips that exist and the listed files that do not."""

    clips: list[Clip]
    missing: list[Clip]


@dataclass(frozen=True)
class TaskSpec:
    """Static description of a task. `read(root, lists, seed)` turns the official download into rows.

    `title` names it in tables; `group` is `env`, `speech`, `music` or a group of its own; `seconds` is the length to
    which clips are cut or padded, the data set's average in the papers; `official` the number of clips of the full data
    set; `tree` shows the expected files, `audio_dirs` are those of them where a user's split table is looked up;
    `classes(lists)` gives an official order of classes; `incomplete` says that missing clips are normal and counted.
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


TASKS: Registry[TaskSpec] = Registry("task", __name__)
"""All tasks by name."""


def task(name: str, **facts: Any) -> Callable[[Callable], Callable]:
    """Decorator for the reader of a task's download; `facts` are the other fields of its `TaskSpec`."""
    def enter(read: Callable[[Path, Path, int], Listing]) -> Callable[[Path, Path, int], Listing]:
        TASKS.register(name)(TaskSpec(name=name, read=read, **facts))
        return read
    return enter


def need(path: Path, what: str) -> Path:
    """The path itself if it exists. Raises ValueError naming it and what it should be."""
    if not path.exists():
        raise ValueError(f"{path} is missing ({what})")
    return path


def first_of(paths: Iterable[Path], what: str) -> Path:
    """The first path that exists. Raises ValueError naming all that were tried."""
    paths = list(paths)
    for path in paths:
        if path.exists():
            return path
    raise ValueError(f"none of {', '.join(map(str, paths))} is there ({what})")


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of an official CSV file. Raises ValueError if it or one of the columns is missing."""
    need(path, f"CSV file with the columns {', '.join(columns)}")
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        absent = [name for name in columns if name not in (reader.fieldnames or [])]
        if absent:
            raise ValueError(f"{path}: column '{absent[0]}' is missing")
        return list(reader)


def read_lines(path: Path, what: str) -> list[str]:
    """Lines of an official list without blank ones. Raises ValueError if the file is missing."""
    return [line.strip() for line in need(path, what).read_text(encoding="utf-8").splitlines() if line.strip()]


def listed(root: Path, clips: Iterable[Clip]) -> Listing:
    """Split official rows into those whose file exists and those whose file does not.

    A file that was converted (`.m4a`, `.flac` for the list's `.wav`) is found by its name without the ending. Each
    folder is listed once, which is a hundred times faster on a network disk than a check of every file.
    """
    names: dict[str, dict[str, str]] = {}
    present: list[Clip] = []
    missing: list[Clip] = []
    for clip in clips:
        folder, _, name = clip.file_name.rpartition("/")
        if folder not in names:
            names[folder] = _names(root / folder)
        found = names[folder].get(name) or names[folder].get(os.path.splitext(name)[0])
        if found is None:
            missing.append(clip)
        else:
            present.append(clip._replace(file_name=f"{folder}/{found}".lstrip("/")))
    return Listing(present, missing)


def _names(folder: Path) -> dict[str, str]:
    """Files of a folder by their names, audio files also by their names without the ending."""
    files = os.listdir(folder) if folder.is_dir() else []
    audio = {stem: name for name in files for stem, ending in [os.path.splitext(name)] if ending.lower() in EXTENSIONS}
    return {**audio, **{name: name for name in files}}
