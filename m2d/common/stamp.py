"""Prepared folders know the options they were made by, so that nothing is prepared twice."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from m2d.common.files import write_json

STAMP = "prepared.json"


def is_made(options: Any, *directories: str | Path) -> bool:
    """Whether all of the folders are there as `mark_made` left them, by these very options (a dataclass)."""
    stamps = [Path(directory) / STAMP for directory in directories]
    return all(stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8")) == dataclasses.asdict(options)
               for stamp in stamps)


def mark_made(options: Any, *directories: str | Path) -> None:
    """Note the options in folders that are whole. A folder that is written anew as a whole loses its note."""
    for directory in directories:
        write_json(Path(directory) / STAMP, dataclasses.asdict(options))
