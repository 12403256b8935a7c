"""REPORT.md of recordings of one's own: the data, scores with intervals, what helped, which clips are hard."""

import csv
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import MISSING

from m2d.common import markdown
from m2d.common.errors import UserError
from m2d.common.files import read_json, write_text
from m2d.common.options import option
from m2d.evaluation.report import MINI, measure_table
from m2d.evaluation.task import Task

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
    """How many more clips `one` has right, in %, and the 95% interval (paired bootstrap); None for other clips."""
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


@dataclass
class ReportOptions:
    """Options of `m2d.bin.report_own`. A model's folder holds its results: linear/TASK, finetune/TUNING/TASK."""

    task: str = option(MISSING, "folder of the prepared task")
    weights: str = option(MISSING, "folder of the weights as they are")
    further: str = option(MISSING, "folder of the weights after further pre-training; need not be there")
    baselines: list[str] = option(factory=list, help="folders of what the weights must beat")
    tuning: str = option(MISSING, "name of the settings of fine-tuning")
    out: str = option("exp/REPORT.md", "the page; its figures lie beside it")
    mini: bool = option(False, "say that the mini corpus stood in for own recordings")


def write_own_report(options: ReportOptions) -> None:
    """Write the page and its figures. Raises `UserError` where no model has been evaluated."""
    task, out = Task.read(options.task), Path(options.out)
    baselines, probes, tuned = _outcomes(options, task.name)
    found = [*baselines, *probes, *tuned]
    if not probes:
        raise UserError(f"{options.weights}/linear/{task.name}: no result there: probe the weights first")
    best = max([*probes, *tuned, *baselines], key=lambda outcome: outcome.correct.mean())
    mini = MINI if options.mini else ""
    parts = [
        f"# {task.title}: what helped\n\n{mini}Written by `m2d.bin.report_own` on {time.strftime('%Y-%m-%d')}.",
        "## In short\n\n" + "\n".join(f"- {line}" for line in _in_short(baselines, probes, tuned)),
        _data(Path(options.task)),
        "## Scores\n\nIn % on the test clips, with 95% intervals over clips (bootstrap). A probe is a linear layer on "
        "frozen features; validation clips choose its learning rate and epoch.\n\n" +
        measure_table([outcome.result | {"label": outcome.title} for outcome in found]),
        "\n".join(f"- {outcome.title}: {note}" for outcome in found for note in outcome.result.get("notes", [])),
        *(_figure(f"Score of each layer: {outcome.title}", outcome.folder / "layers.png", out) for outcome in probes),
        _figure("Probe during further pre-training, on validation clips", Path(options.further) / "images/probe.png",
                out),
        f"## Confusion\n\nOf the {best.title}, which has the most test clips right "
        f"({100 * best.correct.mean():.1f}%).{confused(best.rows)}",
        _figure("Confusion", best.folder / "confusion.png", out),
        "## Hardest clips\n\nThe test clips to whose label it gives the lowest probability. Listen to them first: some "
        f"labels may be wrong.\n\n{hardest(best.rows)}",
        "## Maps of the clips\n\nEach point is a clip, on the two directions in which the model's vectors differ most.",
        *(_figure(f"Map: {outcome.title}", outcome.folder / "embedding.png", out) for outcome in probes)]
    write_text(out, "\n\n".join(filter(None, parts)) + "\n")


def _outcomes(options: ReportOptions, task: str) -> tuple[list[Outcome], list[Outcome], list[Outcome]]:
    """Probes of the baselines, probes of the weights, fine-tunings: those that there are."""
    def probes(folders: list[str]) -> list[Outcome]:
        found = [read_outcome(Path(folder, "linear", task), "") for folder in folders]
        return [outcome._replace(title=f"probe of {outcome.result['label']}") for outcome in found if outcome]

    own = [options.weights, options.further]
    tuned = [read_outcome(Path(folder, "finetune", options.tuning, task), "") for folder in own]
    return probes(options.baselines), probes(own), [
        outcome._replace(title=f"fine-tuned {outcome.result['label']}") for outcome in tuned if outcome]


def _in_short(baselines: list[Outcome], probes: list[Outcome], tuned: list[Outcome]) -> list[str]:
    """What helped, a sentence each, and what to do."""
    lines = [comparison(probes[0], baseline) for baseline in baselines]
    lines += [comparison(probe, probes[0]) for probe in probes[1:]]
    best_probe = max(probes, key=lambda outcome: outcome.correct.mean())
    lines += [comparison(one, best_probe) for one in tuned]
    lines += [comparison(one, tuned[0]) for one in tuned[1:]]
    best = max([*probes, *tuned], key=lambda outcome: outcome.correct.mean())
    right = best.correct
    lines.append(f"The most test clips right: the {best.title}, {100 * right.mean():.1f}% of {len(right)}. "
                 "\"No sure difference\" means that the interval of the difference, over clips, holds 0: more test "
                 "clips, or several seeds, would be needed to tell.")
    if tuned:
        models = ", ".join(f"`{one.folder}/model`" for one in tuned)
        lines.append(f"The fine-tuned models are kept in {models}: `m2d predict MODEL FILES` applies them.")
    return lines


def _data(folder: Path) -> str:
    """What `m2d.bin.prepare_task` said of the data, as a section."""
    path = folder / "report.md"
    return "## The data\n\n" + path.read_text(encoding="utf-8").partition("\n")[2].strip() if path.is_file() else ""


def _figure(title: str, path: Path, page: Path) -> str:
    return f"![{title}]({os.path.relpath(path, page.parent)})\n\n*{title}*" if path.is_file() else ""
