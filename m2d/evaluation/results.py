"""One result per model, task and kind of evaluation: a folder with `result.json` and a confusion matrix."""

import csv
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from m2d.common.files import atomic_open, read_json, write_json
from m2d.common.provenance import environment
from m2d.evaluation.figures import draw_confusion, draw_layers
from m2d.evaluation.task import Task

KINDS = ("linear", "finetune")


def write_result(directory: str | Path, kind: str, label: str, model: str, task: Task, options: Any,
                 result: dict[str, Any], depends: dict[str, Any] | None = None) -> None:
    """Write `result.json`, `predictions.csv`; `confusion.csv` and `.png` of single labels; `layers.png` of layers.

    `result` holds at least `scores` (per seed), `mean`, `ci`, `clips` (used, per part), `confusion` (`[true,
    predicted]` counts or None), `predictions` (rows `[N]` of the tested clips, their probabilities `[N, C]`) and
    `unreadable` (lines); `depends` identifies its inputs (see `is_current`).
    """
    directory = Path(directory)
    result = dict(result)
    confusion = result.pop("confusion")
    _write_predictions(directory / "predictions.csv", task, *result.pop("predictions"))
    title = f"{label}: {task.title} ({kind})"
    if confusion is not None:
        with atomic_open(directory / "confusion.csv") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["true \\ predicted", *task.classes])
            writer.writerows([name, *line] for name, line in zip(task.classes, confusion.tolist(), strict=True))
        draw_confusion(directory / "confusion.png", confusion, task.classes, title)
    if "layers" in result:
        draw_layers(directory / "layers.png", result["layers"], title)
    long = ("clips", "missing_files", "classes")
    description = {name: value for name, value in asdict(task).items() if name not in long}
    write_json(directory / "result.json", {
        "kind": kind, "label": label, "model": model, "task": description | {"classes": len(task.classes)},
        "options": asdict(options), "depends": depends, "date": time.strftime("%Y-%m-%d"),
        "environment": environment()} | result)


def _write_predictions(path: Path, task: Task, rows: np.ndarray, scores: np.ndarray) -> None:
    """A row per tested clip: file, times, label, prediction, the label's probability (the lowest of several)."""
    targets = task.targets()
    with atomic_open(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file_name", "start", "end", "label", "predicted", "probability"])
        for row, probabilities in zip(rows, scores, strict=True):
            clip, chosen = task.clips[row], probabilities >= 0.5 if task.multilabel else [probabilities.argmax()]
            predicted = ";".join(np.array(task.classes)[chosen])
            own = probabilities[targets[row] > 0].min()
            writer.writerow([clip.file_name, f"{clip.start:g}", "" if clip.end is None else f"{clip.end:g}", clip.label,
                             predicted, f"{own:.4f}"])


def is_current(directory: str | Path, depends: dict[str, Any]) -> bool:
    """Whether a folder's result was made from these inputs: weights, task content, settings, as JSON values."""
    return read_json(Path(directory) / "result.json", {}).get("depends") == depends


def read_results(exp: str | Path, kind: str) -> list[dict[str, Any]]:
    """All results of a kind, by path, with `exp`, the model's folder; labels of fine-tunings name their settings."""
    found = []
    for path in sorted(Path(exp).glob(f"*/{kind}/{'*/' if kind == 'finetune' else ''}*/result.json")):
        result = read_json(path)
        if kind == "finetune":
            result["label"] += f" ({path.parents[1].name})"
        found.append(result | {"exp": str(Path(exp) / path.relative_to(exp).parts[0])})
    return found
