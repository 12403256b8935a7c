"""What results on a task of one's own say in plain words: who is better on the same test clips, and by how much."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from m2d.common import markdown
from m2d.common.files import read_json

RESAMPLES = 2000
"""Bootstrap resamples of the tested clips, by which differences get their intervals."""
HARDEST, PAIRS = 15, 5
"""Clips, and pairs of confused classes, that are named."""


class Outcome(NamedTuple):
    """One evaluation of one model: its folder, result.json and the rows of its predictions.csv."""

    title: str
    folder: Path
    result: dict[str, Any]
    rows: list[dict[str, str]]

    @property
    def correct(self) -> np.ndarray:
        """Whether a tested clip's label (all of several) is what was predicted, `[N]` 0 or 1."""
        return np.array([row["predicted"] == row["label"] for row in self.rows], dtype=float)


def read_outcome(folder: Path, title: str) -> Outcome | None:
    """What `m2d.evaluation.results.write_result` left in a folder; None where there is nothing."""
    result = read_json(folder / "result.json", None)
    if result is None:
        return None
    with open(folder / "predictions.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return Outcome(title, folder, result, rows)


def difference(one: Outcome, other: Outcome, seed: int = 0) -> tuple[float, float, float] | None:
    """How many more test clips, in %, `one` has right than `other`, and the 95% interval (paired bootstrap over clips).

    None where they were not tested on the same clips.
    """
    def clips(outcome: Outcome) -> list[tuple[str, str]]:
        return [(row["file_name"], row["start"]) for row in outcome.rows]

    if clips(one) != clips(other):
        return None
    gain = 100 * (one.correct - other.correct)
    draws = np.random.default_rng(seed).integers(len(gain), size=(RESAMPLES, len(gain)))
    low, high = np.percentile(gain[draws].mean(1), [2.5, 97.5])
    return float(gain.mean()), float(low), float(high)


def comparison(one: Outcome, other: Outcome) -> str:
    """A sentence on `one` against `other`."""
    found = difference(one, other)
    before, now = (100 * outcome.correct.mean() for outcome in (other, one))
    if found is None:
        return f"The {one.title}: {now:.1f}% of its test clips right; the {other.title}: {before:.1f}% of other clips."
    gain, low, high = found
    verdict = "better" if low > 0 else "worse" if high < 0 else "no sure difference"
    return (f"The {one.title} against the {other.title}: {now:.1f}% against {before:.1f}% of the test clips right, "
            f"{gain:+.1f} [{low:+.1f}, {high:+.1f}]: **{verdict}**.")


def hardest(rows: list[dict[str, str]]) -> str:
    """The tested clips that get the lowest probability for their own label, as a table."""
    chosen = sorted(rows, key=lambda row: float(row["probability"]))[:HARDEST]
    names = [row["file_name"] + (f" from {row['start']} s" if float(row["start"]) else "") for row in chosen]
    return markdown.table(["clip", "label", "predicted", "probability of its label"], (
        [f"`{name}`", row["label"], row["predicted"] or "none", row["probability"]]
        for name, row in zip(names, chosen, strict=True)))


def confused(rows: list[dict[str, str]]) -> str:
    """The most frequent mistakes in a sentence; nothing where there is none."""
    pairs = Counter((row["label"], row["predicted"]) for row in rows if row["label"] != row["predicted"])
    return " Most frequent mistakes: " + ", ".join(
        f"{label} heard as {predicted or 'none'} ({count})" for (label, predicted), count in pairs.most_common(PAIRS)
    ) + "." if pairs else ""
