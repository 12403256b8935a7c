"""exp/RESULTS.md of image models: fine-tuning beside table 6 of M2D, linear probe, and gains against random weights."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from m2d.common.config import option
from m2d.common.errors import UserError
from m2d.common.files import read_json, write_json, write_text
from m2d.common.markdown import plus_minus, table
from m2d.common.provenance import environment

KINDS = {"finetune": "Fine-tuning", "linear": "Linear probe"}
TABLE_6 = {"MAE": "83.22 ± 0.024", "M2D, all patches": "83.22 ± 0.085", "M2D": "83.35 ± 0.211"}
MINI = ("**The digits stood in for ImageNet**: scikit-learn's 1,797 handwritten digits, enlarged to 32 x 32. These "
        "numbers check the recipe and that something is learned; the paper's rows are of ViT-Base on ImageNet-1K.\n\n")

Scores = dict[str, dict[int, list[float]]]
"""Labelled images of each class ("0": all) -> seed of the weights -> accuracies in %."""


@dataclass
class ReportOptions:
    exp: str = option("exp", "folder of experiment directories")
    out: str = option("RESULTS.md", "the file to write")
    baseline: str | None = option(None, "label of the models with random weights, to compare the others with")
    mini: bool = option(False, "say that the digits stood in for ImageNet")


def write_scores(folder: Path, label: str, seed: int, scores: dict[str, list[float]], options: Any) -> None:
    """Write FOLDER/result.json, which reports gather. `scores`: labelled images of each class -> accuracies in %."""
    write_json(folder / "result.json", {"label": label, "seed": seed, "scores": scores, "options": asdict(options),
                                        "environment": environment()})


def write_report(options: ReportOptions) -> None:
    """Gather all results below `exp`. Raises `UserError` if there is none."""
    parts = [f"# Results\n\n{MINI if options.mini else ''}Written by `python -m m2d.bin.report_images` on "
             f"{time.strftime('%Y-%m-%d')}. Top-1 accuracy on the validation images in %, single crop; mean and "
             "standard deviation over the seeds of pre-training (or of random weights). Rows in italics: the paper."]
    commands: dict[str, None] = {}
    for kind, title in KINDS.items():
        found = [read_json(path)
                 for path in sorted(Path(options.exp).glob(f"*/{kind}/result.json"))]
        models = by_model(found)
        if models:
            printed = TABLE_6 if kind == "finetune" else {}
            parts.append(f"## {title}\n\n{score_table(models, printed)}")
            parts += ["\n".join(f"- {line}" for line in claims(models, options.baseline))] if options.baseline else []
        for result in found:
            commands.setdefault(_command(result))
    if not commands:
        raise UserError(f"{options.exp}: no */finetune/result.json or */linear/result.json: evaluate a model first")
    parts.append("## Commands\n\n```\n" + "\n".join(commands) + "\n```")
    write_text(options.out, "\n\n".join(parts) + "\n")


def by_model(results: list[dict[str, Any]]) -> dict[str, Scores]:
    """The scores of each label."""
    models: dict[str, Scores] = {}
    for result in results:
        for count, scores in result["scores"].items():
            models.setdefault(result["label"], {}).setdefault(count, {})[result["seed"]] = scores
    return models


def score_table(models: dict[str, Scores], printed: dict[str, str]) -> str:
    """A row for each model, a column for each number of labels; the paper's rows have all labels."""
    counts = sorted({count for scores in models.values() for count in scores} | ({"0"} if printed else set()),
                    key=lambda count: (count == "0", int(count)))
    header = ["Model", "Seeds", *("all labels" if count == "0" else f"{count} a class" for count in counts)]
    lines = []
    for label, scores in models.items():
        seeds = sorted({seed for by_seed in scores.values() for seed in by_seed})
        lines.append([label, ", ".join(map(str, seeds)), *(_cell(scores.get(count)) for count in counts)])
    lines += [[f"*{label}, ViT-Base, ImageNet-1K*", "-", *("-" for _ in counts[:-1]), text]
              for label, text in printed.items()]
    return table(header, lines)


def claims(models: dict[str, Scores], baseline: str) -> list[str]:
    """Whether each model beats the baseline by more than the spread: the range over seeds, the larger of the two."""
    lines = []
    for label, scores in models.items():
        for count in sorted(set(scores) & set(models.get(baseline, {})), key=int):
            own, floor = _means(scores[count]), _means(models[baseline][count])
            if label != baseline and min(len(own), len(floor)) > 1:
                gain, spread = own.mean() - floor.mean(), max(np.ptp(own), np.ptp(floor))
                labels = "all labels" if count == "0" else f"{count} labels a class"
                lines.append(f"{label} beats {baseline} with {labels} by more than the spread over seeds: "
                             f"**{'yes' if gain > spread else 'no'}** ({gain:+.1f}, spread {spread:.1f}).")
    return lines


def _means(by_seed: dict[int, list[float]]) -> np.ndarray:
    return np.array([np.mean(scores) for _, scores in sorted(by_seed.items())])


def _cell(by_seed: dict[int, list[float]] | None) -> str:
    means = _means(by_seed or {})
    return plus_minus(means.mean() if len(means) else None, means.std(ddof=1) if len(means) > 1 else None)


def _command(result: dict[str, Any]) -> str:
    environment = result["environment"]
    versions = " ".join(f"{name} {version}" for name, version in environment["versions"].items() if version)
    return f"{environment['command']}  # {versions}; git {environment['source']['git']}"
