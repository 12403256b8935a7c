"""Shared by the readers of the official downloads: reading lists, naming missing files."""

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from m2d.audio.wave import EXTENSIONS
from m2d.common.errors import UserError
from m2d.evaluation.tables import Clip
from m2d.evaluation.tasks import Listing


def need(path: Path, what: str) -> Path:
    """The path itself if it exists. Raises `UserError` naming it and what it should be."""
    if not path.exists():
        raise UserError(f"{path} is missing ({what})")
    return path


def first_of(paths: Iterable[Path], what: str) -> Path:
    """The first path that exists. Raises `UserError` naming all that were tried."""
    paths = list(paths)
    for path in paths:
        if path.exists():
            return path
    raise UserError(f"none of {', '.join(map(str, paths))} is there ({what})")


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of an official CSV file. Raises `UserError` if it or one of the columns is missing."""
    need(path, f"CSV file with the columns {', '.join(columns)}")
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        absent = [name for name in columns if name not in (reader.fieldnames or [])]
        if absent:
            raise UserError(f"{path}: column '{absent[0]}' is missing")
        return list(reader)


def read_lines(path: Path, what: str) -> list[str]:
    """Lines of an official list without blank ones. Raises `UserError` if the file is missing."""
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
