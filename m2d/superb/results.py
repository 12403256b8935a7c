"""Tables of SUPERB results in Markdown beside published rows, and their figure."""

import dataclasses
import os
import re
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import MISSING, OmegaConf

from m2d.common import markdown
from m2d.common.config import nearest, option, read_yaml
from m2d.common.errors import UserError
from m2d.common.figures import new_figure, save_figure
from m2d.common.files import existing_file, read_json, write_json, write_text
from m2d.superb.collect import collect, columns, merged, store
from m2d.superb.config import SuperbConfig
from m2d.superb.task import TASKS, Measure, ordered
from m2d.superb.worker import Run

OFFICIAL = "SUPERB"
"""The name of the corpora that make a result comparable with the papers'."""


@dataclasses.dataclass
class TableConfig:
    exps: list[str] = option(MISSING, "folders of m2d.bin.superb, in the order of the rows")
    out: str = option("RESULTS.md", "the Markdown file to write")
    figure: str = option("", "an image file to write, linked in the Markdown; none unless given")
    paper: str = option("conf/superb/paper.yaml", "file of published rows, 'LABEL: {pr: ..., ks: ...}'")
    rows: list[str] = option(factory=lambda: ["M2D-S T=6.08s 80x2 (Table 6)"], help="which published rows to show")
    score: str = option("conf/superb/score.yaml", "file of the two rows that make the scale of the SUPERB score")


class Reference(NamedTuple):
    """The SUPERB score's scale: what makes 0 (FBANK's results) and 1000 (the best known ones), by column."""

    zero: dict[str, float]
    thousand: dict[str, float]


def read_reference(path: Path) -> Reference:
    """The columns that both rows of a YAML file have. `UserError` for other rows, an unknown column, equal scores."""
    rows = OmegaConf.to_container(read_yaml(path))
    known = [measure.column for name in ordered(list(TASKS)) for measure in TASKS.get(name).measures]
    if set(rows) != {"zero", "thousand"} or not all(isinstance(row, dict) for row in rows.values()):
        raise UserError(f"{path}: expected two rows, 'zero: {{pr: ...}}' and 'thousand: {{pr: ...}}'")
    for column, score in [*rows["zero"].items(), *rows["thousand"].items()]:
        if column not in known:
            raise UserError(f"{path}: unknown column '{column}'{nearest(str(column), known)}")
        if not isinstance(score, int | float) or rows["zero"].get(column) == rows["thousand"].get(column):
            raise UserError(f"{path}: column {column}: give two numbers that differ")
    zero, thousand = ({column: row[column] for column in rows["zero"] if column in rows["thousand"]}
                      for row in (rows["zero"], rows["thousand"]))
    return Reference(zero, thousand)


def superb_score(scores: dict[str, float], reference: Reference) -> tuple[float, list[str]] | None:
    """The score, the mean over tasks, and the titles of those that have all their columns; None where there is none."""
    parts, titles = [], []
    for name in ordered(list(TASKS)):
        wanted = [measure.column for measure in TASKS.get(name).measures]
        if all(column in scores and column in reference.zero for column in wanted):
            parts.append(statistics.fmean(
                (scores[column] - reference.zero[column]) / (reference.thousand[column] - reference.zero[column])
                for column in wanted))
            titles.append(TASKS.get(name).title)
    return (1000 * statistics.fmean(parts), titles) if parts else None


def write_results(config: SuperbConfig, runs: list[Run]) -> None:
    """Write the model's `results.json` and `RESULTS.md`, and print the table."""
    exp = Path(config.exp)
    found = store(exp, collect(config, runs))
    write_text(exp / "RESULTS.md", document([found], {}, None, None))
    print(table([found], {}, None))


def write_table(config: TableConfig) -> None:
    """Write one Markdown file, and a figure if requested, of all models and published rows.

    The JSON that the tables follow from is written beside it.

    Models of different corpora get a table and a figure per corpus. Models of one label, which are the same settings
    pre-trained from several seeds, make one row.

    Raises `UserError` for a folder without results and an unknown published row.
    """
    results = merged([_read(Path(exp)) for exp in config.exps])
    published = _published(Path(config.paper), config.rows)
    write_json(Path(config.out).with_suffix(".json"), {"results": results, "published": published})
    sections = []
    for corpus in dict.fromkeys(result["corpus"] for result in results):
        rows = [result for result in results if result["corpus"] == corpus]
        figure = None
        if config.figure:
            path = Path(config.figure)
            if sections:
                path = path.with_stem(f"{path.stem}_{re.sub(r'[^A-Za-z0-9]+', '_', corpus)}")
            draw(rows, path)
            figure = os.path.relpath(path, Path(config.out).parent)
        reference = read_reference(Path(config.score)) if config.score and corpus == OFFICIAL else None
        if reference is not None and not reference.zero:
            reference = None
        sections.append(document(rows, published, figure, reference))
    write_text(config.out, "\n".join(sections))


def document(results: list[dict[str, Any]], published: dict[str, dict[str, float]], figure: str | None,
             reference: Reference | None) -> str:
    """The Markdown text: what the numbers are, the table, the settings, and each row's command."""
    corpus = results[0]["corpus"]
    lines = ["# SUPERB results" + ("" if corpus == OFFICIAL else f" on the {corpus}"), ""]
    lines += ["Frozen features, learnt weighted sum of the layers, s3prl's downstream tasks, per cent; ER is the mean "
              "of five folds. ± is the standard deviation over seeds.", ""]
    if corpus != OFFICIAL:
        lines += [f"**These numbers are on the {corpus} and compare with each other only.** "
                  "Published rows, where shown, are on the real corpora.", ""]
    lines += [table(results, published, reference), ""]
    tested = {name: task["tested"] for result in results for name, task in result["tasks"].items()
              if task.get("tested")}
    if tested:
        lines += ["Standard error of an accuracy by the number of test clips alone, at most: " + ", ".join(
            f"{TASKS.get(name).title} {50 / count ** 0.5:.1f} ({count:,} clips)" for name, count in tested.items())
            + ".", ""]
    if reference is not None:
        lines += ["Score: linear from FBANK's results (0) to the best known ones (1000) as conf/superb/score.yaml has "
                  "them, the mean over the tasks in brackets.", ""]
    if figure:
        lines += [f"![SUPERB scores]({figure})", ""]
    lines += ["## How each row was made", ""]
    for result in results:
        packages = ", ".join(f"{name} {version}" for name, version in result["versions"].items() if version)
        lines += [f"**{result['label']}**, {result['date']}, commit {result['commit']}, {packages}", "",
                  "```sh", result["command"], "```", "", _settings(result), ""]
    return "\n".join(lines)


def _settings(result: dict[str, Any]) -> str:
    rows, notes = [], []
    for name, task in result["tasks"].items():
        layers = " ".join(f"{weight:.2f}" for weight in task["layer_weights"]) or "one layer"
        if task.get("best_layer") is not None:
            layers = f"best layer {task['best_layer']}"
        rate = f"{task['lr']:g}" if task["lr"] else "-"
        if len(task.get("swept", [])) > 1:
            rate += f" of {', '.join(f'{lr:g}' for lr in task['swept'])}"
        rows.append([TASKS.get(name).title, str(task["steps"]), rate, str(len(task["seeds"])),
                     f"{task['seconds']:.0f} s", layers])
        if task.get("note"):
            notes.append(f"\n\n{TASKS.get(name).title}: {task['note']}.")
    return markdown.table(["task", "steps", "lr", "seeds", "time", "layer weights"], rows) + "".join(notes) \
        + _sweep(result)


def _sweep(result: dict[str, Any]) -> str:
    """A table of the learning rates that were tried; nothing where each task has one."""
    rows = [[TASKS.get(name).title + (" (counts)" if rate["lr"] == task["lr"] else ""), f"{rate['lr']:g}",
             f"{rate['dev']:.4g}", ", ".join(f"{score:.2f}" for score in rate["scores"].values())]
            for name, task in result["tasks"].items()
            for rate in task.get("rates", []) if len(task["swept"]) > 1]
    return "\n\n" + markdown.table(["task", "lr", "dev, as s3prl tells it", "test"], rows) if rows else ""


def _shown(results: list[dict[str, Any]]) -> list[tuple[str, Measure]]:
    """Title and measure of each column that any of the results has."""
    names = ordered([name for result in results for name in result["tasks"]])
    return [(TASKS.get(name).title, measure) for name in names for measure in TASKS.get(name).measures]


def table(results: list[dict[str, Any]], published: dict[str, dict[str, float]], reference: Reference | None) -> str:
    """A Markdown table: a row per model, then the published ones; a score where there is a reference."""
    shown = _shown(results)
    header = ["model", *(f"{title} {measure.name} {'↓' if measure.lower_is_better else '↑'}"
                         for title, measure in shown)]
    rows = [(result["label"], columns(result)) for result in results]
    rows += [(f"*published: {label}*", {column: (score, None) for column, score in scores.items()})
             for label, scores in published.items()]
    lines = [[label, *(markdown.plus_minus(*found.get(measure.column, (None,)), digits=2) for _, measure in shown)]
             for label, found in rows]
    if reference is not None:
        header.append("score")
        for line, (_, found) in zip(lines, rows, strict=True):
            score = superb_score({measure.column: found[measure.column][0] for _, measure in shown
                                  if measure.column in found}, reference)
            line.append("-" if score is None else f"{score[0]:.0f} ({' '.join(score[1])})")
    return markdown.table(header, lines)


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """A panel per column, a bar per model with its spread over seeds."""
    shown = _shown(results)
    figure = new_figure(figsize=(2.2 + 2.1 * len(shown), 1.2 + 0.32 * len(results)), layout="tight")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)
    for panel, (title, measure) in zip(panels[0], shown, strict=True):
        for row, result in enumerate(results):
            mean, spread = columns(result).get(measure.column, (None, None))
            if mean is not None:
                panel.barh(row, mean, xerr=spread or 0.0, color=f"C{row % 10}")
        panel.set_title(f"{title} {measure.name} %")
    panels[0][0].set_yticks(range(len(results)), [result["label"] for result in results])
    panels[0][0].invert_yaxis()
    save_figure(figure, path)


def _read(exp: Path) -> dict[str, Any]:
    return read_json(existing_file(exp / "results.json", f"file: make it with m2d.bin.superb exp={exp}"))


def _published(path: Path, rows: list[str]) -> dict[str, dict[str, float]]:
    if not rows:
        return {}
    existing_file(path, "file of published rows")
    known: dict[str, dict[str, float]] = OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[assignment]
    for row in rows:
        if row not in known:
            raise UserError(f"{path}: no row '{row}'{nearest(row, list(known))}")
    return {row: known[row] for row in rows}
