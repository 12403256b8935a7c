"""Shared by the readers of the official downloads: reading lists, naming missing files."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

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

    Each folder is listed once, which is a hundred times faster on a network disk than a check of every file.
    """
    names: dict[str, set[str]] = {}
    present: list[Clip] = []
    missing: list[Clip] = []
    for clip in clips:
        folder, _, name = clip.file_name.rpartition("/")
        if folder not in names:
            directory = root / folder
            names[folder] = set(os.listdir(directory)) if directory.is_dir() else set()
        (present if name in names[folder] else missing).append(clip)
    return Listing(present, missing)
