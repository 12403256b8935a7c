"""Utterances, hours and speakers of a local corpus, compared with the published figures."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

HOURS_ROUNDED_TO = 0.1


class Size(NamedTuple):
    """Size of a corpus or of a part of it; None for unknown figures."""

    utterances: int
    hours: float | None = None
    speakers: int | None = None


def published(corpus: str, parts: Iterable[str]) -> Size | None:
    """The published size of these parts together, whose speakers are disjoint; None where it is not known."""
    known = _tables().get(corpus, {})
    rows = [known.get(part) for part in parts]
    if not rows or None in rows:
        return None
    return Size(*(None if None in column else sum(column) for column in zip(*rows, strict=True)))


def compared(found: Size, wanted: Size | None, unit: str = "utterances") -> tuple[str, bool]:
    """The size as text beside the published one, and whether the two differ."""
    words, differs = [], False
    for name, value, other in zip((unit, "h", "speakers"), found, wanted or (None,) * 3, strict=True):
        if value is None:
            continue
        shown = f"{_number(value)} {name}"
        if other is not None:
            shown += f" (published: {_number(other)})"
            differs |= abs(value - other) > (HOURS_ROUNDED_TO if name == "h" else 0)
        words.append(shown)
    return ", ".join(words) + (": DIFFERENT from the published corpus" if differs else ""), differs


def _number(value: float) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


@cache
def _tables() -> dict[str, dict[str, list]]:
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
