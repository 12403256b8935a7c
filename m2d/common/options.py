"""How an option table is written. Needs Python alone, so that `m2d.nn` runs where only torch and numpy are."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any


def option(default: Any = dataclasses.MISSING, help: str = "", *, factory: Any = dataclasses.MISSING) -> Any:
    """A dataclass field with the line of help that `--help` shows. `factory` is for nested dataclasses and lists."""
    return dataclasses.field(default=default, default_factory=factory, metadata={"help": help})


def nearest(word: str, known: list[str]) -> str:
    """', did you mean X?' for the closest of the known words, or the empty string when none is close."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ""
