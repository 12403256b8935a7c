"""RESULTS.md: our scores as tables beside the papers', with everything needed to check or repeat them."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from m2d.common import markdown
from m2d.common.errors import UserError
from m2d.common.files import write_text
from m2d.evaluation import paper
from m2d.evaluation.figures import draw_masking_ratios
from m2d.evaluation.paper import FINETUNE_TASKS, GROUPS, LINEAR_TASKS, Printed, Row
from m2d.evaluation.results import KINDS, read_results
from m2d.evaluation.seeds import Setting, averaged, by_setting, claims, compared, is_random, seed_table

PAPER_ROWS = {"linear": paper.LINEAR, "finetune": paper.FINETUNE}
COLUMNS = {"linear": LINEAR_TASKS, "finetune": FINETUNE_TASKS}
TITLES = {"linear": "Linear evaluation (accuracy %)",
          "finetune": "Fine-tuning (AS20K: mAP x 100, the others: accuracy %)"}
MINI = ("**The mini corpus stood in for the real ones.** It is synthetic: speech by formant and unit synthesis, "
        "procedural sounds, music from one sound font, and the pre-training clips come from the same generators. These "
        "numbers check the pipeline and that something is learned; they say nothing about transfer to real audio and "
        "must not be compared with the papers' rows, which are printed for orientation.\n\n")


def write_report(exp: str | Path, out: str | Path, mini: bool) -> None:
    """Write all results below `exp` into the Markdown file `out`; `mini` adds a note on the mini corpus.

    For three or more linearly evaluated models with different masking ratios, figure 3 of M2D is drawn beside it.
    Raises `UserError` if there is no result.
    """
    parts = [f"# Results\n\n{MINI if mini else ''}Written by `python -m m2d.bin.report_general` on "
             f"{time.strftime('%Y-%m-%d')}. ± is the 95% confidence interval (Student's t) over the seeds of the "
             "evaluation, or over the models where a row averages several seeds of pre-training; that of an average "
             "is the mean of its tasks', as in the paper. Rows in italics are the papers' (full data sets)."]
    by_kind = {kind: read_results(exp, kind) for kind in KINDS}
    if not any(by_kind.values()):
        raise UserError(f"{exp}: no */linear/*/result.json or */finetune/*/*/result.json: evaluate a model first")
    for kind, results in by_kind.items():
        if not results:
            continue
        settings = by_setting(results)
        rows = {label: averaged(setting) for label, setting in settings.items()}
        titles = {result["task"]["name"]: result["task"]["title"] for result in results}
        columns = [name for name in COLUMNS[kind] if name in titles]
        others = sorted(titles.keys() - set(columns))
        parts.append(f"## {TITLES[kind]}")
        if columns:
            parts.append(score_table(rows, PAPER_ROWS[kind], columns, titles, kind == "linear"))
        if others:
            parts.append("### Other tasks\n\n" + score_table(rows, {}, others, titles, average=False))
            for name in others:
                table = measure_table([result for result in results if result["task"]["name"] == name])
                parts += [f"{titles[name]}, with 95% intervals over clips (bootstrap):\n\n{table}"] if table else []
        if kind == "linear" and columns:
            parts.append(f"### Means over groups of tasks\n\n{group_table(rows)}")
            parts += seed_section(settings)
            ratios = masking_ratios(results)
            if len({ratio for ratio, _ in ratios}) > 2:
                picture = Path(out).with_name("masking_ratio.png")
                draw_masking_ratios(picture, [(ratio, group_means(rows[label])) for ratio, label in ratios])
                parts.append(f"![Masking ratio and task groups, as figure 3 of M2D]({picture.name})")
        parts.append(f"### Data\n\n{data_table(results)}")
        parts.append(f"### Commands\n\n{seed_line(results)}\n\n{commands(results)}")
    write_text(out, "\n\n".join(parts) + "\n")


def seed_section(settings: dict[str, Setting]) -> list[str]:
    """Scores over seeds of pre-training, in Markdown; empty if no setting was pre-trained with several."""
    scores, tasks = compared(settings)
    if not scores:
        return []
    header, *rows = seed_table(scores, settings, tasks)
    table = markdown.table(header, rows)
    return ["### Seeds of pre-training\n\n± is the standard deviation over the seeds of pre-training, or of random "
            f"weights.\n\n{table}", "\n".join(f"- {line}" for line in claims(scores, settings))]


def cell(score: Printed | None) -> str:
    """A score with its interval, `-` for none."""
    return markdown.plus_minus(*(score or (None,)))


def mean_of(row: Row, tasks: Iterable[str]) -> Printed | None:
    """Average over tasks and mean of their intervals, as in the paper's Avg. column; None unless all are there."""
    scores = [row.get(name) for name in tasks]
    if not scores or None in scores:
        return None
    intervals = [score.ci for score in scores if score is not None]
    return Printed(float(np.mean([score.mean for score in scores if score is not None])),
                   None if None in intervals else float(np.mean(intervals)))


def group_means(row: Row) -> dict[str, Printed | None]:
    """Means over the papers' linear tasks, of each group and of all (`avg`); None if a task is missing."""
    return {group: mean_of(row, tasks) for group, tasks in (GROUPS | {"avg": LINEAR_TASKS}).items()}


def score_table(rows: dict[str, Row], printed: dict[str, Row], columns: Sequence[str], titles: dict[str, str],
                average: bool) -> str:
    """Our rows that have one of the columns, then the paper's, in Markdown; `average` adds a mean over the columns.

    If all of the paper's columns are shown, its rows have the printed average, which differs from that of the rounded
    scores.
    """
    shown = {label: row for label, row in rows.items() if any(name in row for name in columns)} | italic(printed)
    averages = {label: mean_of(row, columns) for label, row in shown.items()}
    if tuple(columns) == LINEAR_TASKS:
        averages |= {label: score for label, score in italic(paper.LINEAR_AVERAGE).items() if label in averages}
    return markdown.table(["Model", *(titles[name] for name in columns), *(["Avg."] if average else [])], (
        [label, *(cell(row.get(name)) for name in columns), *([cell(averages[label])] if average else [])]
        for label, row in shown.items()))


def italic(rows: dict[str, Any]) -> dict[str, Any]:
    """The papers' rows under labels in italics."""
    return {f"*{label}*": row for label, row in rows.items()}


def group_table(rows: dict[str, Row]) -> str:
    """Group means of our rows, and of the papers' rows if they print the mean or all tasks of a group."""
    lines = [["Model", *paper.GROUP_TITLES.values(), "Avg."]]
    printed = {label: group_means(row) for label, row in paper.LINEAR.items()}
    for label, groups in paper.GROUP_MEANS.items():
        printed.setdefault(label, {**dict.fromkeys(GROUPS), "avg": None, **groups})
    for label, average in paper.LINEAR_AVERAGE.items():
        printed.setdefault(label, dict.fromkeys(GROUPS))["avg"] = average
    means = {label: group_means(row) for label, row in rows.items()} | italic(printed)
    for label, row in means.items():
        if any(row.values()):
            lines.append([label, *(cell(row[group]) for group in (*GROUPS, "avg"))])
    return markdown.table(lines[0], lines[1:])


def masking_ratios(results: list[dict[str, Any]]) -> list[tuple[float, str]]:
    """(masking ratio, label) of every M2D model that was pre-trained in the folder its results lie in, by ratio."""
    found = set()
    for result in results:
        config = Path(result["exp"]) / "config.yaml"
        if config.is_file() and not is_random(result["model"]):
            model = OmegaConf.load(config).model
            if model.objective == "m2d":
                found.add((float(model.mask_ratio), result["label"]))
    return sorted(found)


def data_table(results: list[dict[str, Any]]) -> str:
    """Data of each task: one row per task and set of clip counts."""
    lines: dict[tuple[str, ...], None] = {}
    order = {name: place for place, name in enumerate(dict.fromkeys(LINEAR_TASKS + FINETUNE_TASKS))}
    for result in sorted(results, key=lambda result: order.get(result["task"]["name"], len(order))):
        task = result["task"]
        used = " / ".join(map(str, result["clips"].values()))
        faults = len(task["unreadable"]) + len(result["unreadable"])
        missing = ", ".join(f"{part} {count}" for part, count in task["missing"].items()) or "0"
        row = (task["title"], str(task["classes"]), f"{task['seconds']:g}", used, missing, str(faults),
               str(task["official"] or "-"), task["split"])
        lines.setdefault(row)
    return markdown.table(["Task", "Classes", "Seconds", "Clips used (train / valid / test, or folds)", "Missing",
                           "Unreadable", "Full set", "Split"], lines)


def seed_line(results: list[dict[str, Any]]) -> str:
    """Number of seeds of each model's evaluation, the minimum over its tasks."""
    counts: dict[str, int] = {}
    for result in results:
        counts[result["label"]] = min(len(result["scores"]), counts.get(result["label"], 1 << 30))
    return f"Seeds of the evaluation: {', '.join(f'{label} {count}' for label, count in counts.items())}."


def commands(results: list[dict[str, Any]]) -> str:
    """The commands behind the scores, each once, with versions, settings and seeds."""
    blocks: dict[str, dict[str, None]] = {}
    for result in results:
        environment = result["environment"]
        versions = " ".join(f"{name} {version}" for name, version in environment["versions"].items() if version)
        where = f"{versions}; {', '.join(environment['gpus']) or 'CPU'}; git {environment['source']['git']}"
        blocks.setdefault(where, {}).setdefault(f"{environment['command']}  # {result['date']}")
    return "\n\n".join(f"{where}\n\n```\n" + "\n".join(lines) + "\n```" for where, lines in blocks.items())


def measure_table(results: list[dict[str, Any]]) -> str:
    """One task's results in Markdown: measures with their intervals over clips, kNN, best layer; empty if none has."""
    results = [result for result in results if "measures" in result]
    names = list(dict.fromkeys(name for result in results for name in result["measures"]))
    if not results:
        return ""
    extra = [("kNN", _knn), ("best layer", _best_layer), ("best epochs", _epochs)]
    extra = [(title, cell) for title, cell in extra if any(cell(result) != "-" for result in results)]
    return markdown.table(["Model", *names, *(title for title, _ in extra)], (
        [result["label"], *(measured(result["measures"].get(name)) for name in names),
         *(cell(result) for _, cell in extra)] for result in results))


def measured(found: dict[str, float] | None) -> str:
    """A measure as `81.2 [74.0, 87.5]`, its value and its interval over clips; `-` for none."""
    if found is None:
        return "-"
    return f"{found['value']:.1f}" + ("" if found["low"] is None else f" [{found['low']:.1f}, {found['high']:.1f}]")


def _knn(result: dict[str, Any]) -> str:
    return f"{result['knn']['mean']:.1f}" if "knn" in result else "-"


def _best_layer(result: dict[str, Any]) -> str:
    """The layer of the best validation score, and its test score."""
    if "layers" not in result:
        return "-"
    best = max(result["layers"], key=lambda layer: layer["valid"])
    return f"{best['layer']} ({best['mean']:.1f})"


def _epochs(result: dict[str, Any]) -> str:
    """The range of the best epochs, counted from 0."""
    low, high = min(result["epochs"]), max(result["epochs"])
    return str(low) if low == high else f"{low}-{high}"
