"""From runs to tables: `results.json` beside a model's runs, Markdown tables of several models, and their figure."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import re
import shlex
import statistics
import sys
from pathlib import Path
from typing import Any

from omegaconf import MISSING, OmegaConf

from m2d.common import markdown
from m2d.common.config import nearest, option
from m2d.common.errors import UserError
from m2d.common.figures import new_figure, save_figure
from m2d.common.files import write_json, write_text
from m2d.common.provenance import source, versions
from m2d.superb.config import SuperbConfig
from m2d.superb.tasks import TASKS
from m2d.superb.worker import Run

PACKAGES = ("torch", "torchaudio", "s3prl", "transformers")
OFFICIAL = "SUPERB"
"""The name of the corpora that make a result comparable with the papers'."""


@dataclasses.dataclass
class TableConfig:
    """Options of `m2d.bin.superb_results`."""

    exps: list[str] = option(MISSING, "folders of m2d.bin.superb, in the order of the rows")
    out: str = option("RESULTS.md", "the Markdown file to write")
    figure: str = option("", "an image file to write, linked in the Markdown; none unless given")
    paper: str = option("conf/superb/paper.yaml", "file of published rows, 'LABEL: {pr: ..., ks: ...}'")
    rows: list[str] = option(factory=lambda: ["M2D-S T=6.08s 80x2 (Table 6)"], help="which published rows to show")


def collect(config: SuperbConfig, runs: list[Run]) -> dict[str, Any]:
    """The scores of one model's runs in per cent: per task a list over seeds, ER's being the mean of its folds."""
    tasks: dict[str, Any] = {}
    for name in dict.fromkeys(run.task for run in runs):
        by_seed: dict[int, list[dict[str, Any]]] = {}
        for run in runs:
            if run.task == name:
                by_seed.setdefault(run.seed, []).append(json.loads((Path(run.folder) / "result.json").read_text()))
        everything = [result for results in by_seed.values() for result in results]
        tasks[name] = {
            "scores": [round(100 * statistics.fmean(result["test"] for result in results), 3)
                       for results in by_seed.values()],
            "seeds": list(by_seed),
            "lr": everything[0]["lr"],
            "steps": everything[0]["settings"]["config"]["runner"]["total_steps"],
            "seconds": round(sum(result["seconds"] for result in everything), 1),
            "layer_weights": everything[0]["layer_weights"],
            "note": everything[0]["settings"]["note"],
        }
    return {"label": config.label or config.model, "model": config.model, "content": runs[0].content,
            "corpus": config.corpus, "tasks": tasks,
            "command": shlex.join(["python", "-m", "m2d.bin.superb", *sys.argv[1:]]),
            "date": datetime.date.today().isoformat(), "commit": (source()["git"] or "unknown")[:7],
            "versions": versions(PACKAGES)}


def with_earlier(path: Path, found: dict[str, Any]) -> dict[str, Any]:
    """The results with those tasks added that an earlier command measured for the same model, label and corpus."""
    same = ("label", "model", "content", "corpus")
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if any(earlier.get(key) != found[key] for key in same) or earlier["tasks"].keys() <= found["tasks"].keys():
        return found
    tasks = {**earlier["tasks"], **found["tasks"]}
    return {**found, "tasks": {name: tasks[name] for name in TASKS if name in tasks},
            "command": "\n".join(dict.fromkeys([*earlier["command"].splitlines(), found["command"]]))}


def write_results(config: SuperbConfig, runs: list[Run]) -> None:
    """Write the model's `results.json` and `RESULTS.md`, and print the table."""
    exp = Path(config.exp)
    found = with_earlier(exp / "results.json", collect(config, runs))
    write_json(exp / "results.json", found)
    write_text(exp / "RESULTS.md", document([found], {}, None))
    print(table([found], {}))


def write_table(config: TableConfig) -> None:
    """Write one Markdown file, and a figure if wanted, of all models and published rows.

    Models of different corpora get a table and a figure per corpus. Models of one label, which are the same settings
    pre-trained from several seeds, make one row.

    Raises `UserError` for a folder without results and an unknown published row.
    """
    results = merged([_read(Path(exp)) for exp in config.exps])
    published = _published(Path(config.paper), config.rows)
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
        sections.append(document(rows, published, figure))
    write_text(config.out, "\n".join(sections))


def merged(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results of the same label and corpus as one, with the scores of all."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for result in results:
        row = rows.setdefault((result["label"], result["corpus"]), {**result, "tasks": {}, "command": ""})
        row["command"] += ("\n" if row["command"] else "") + result["command"]
        for name, task in result["tasks"].items():
            known = row["tasks"].setdefault(name, {**task, "scores": [], "seeds": [], "seconds": 0.0})
            for key in ("scores", "seeds", "seconds"):
                known[key] = known[key] + task[key]
    return list(rows.values())


def document(results: list[dict[str, Any]], published: dict[str, dict[str, float]], figure: str | None) -> str:
    """The Markdown text: what the numbers are, the table, the settings, and each row's command."""
    corpus = results[0]["corpus"]
    lines = ["# SUPERB results" + ("" if corpus == OFFICIAL else f" on the {corpus}"), ""]
    lines += ["Frozen features, learnt weighted sum of the layers, s3prl's downstream tasks; PR in phone error rate "
              "(lower is better), the others in accuracy, per cent; ER is the mean of five folds. "
              "± is the standard deviation over seeds.", ""]
    if corpus != OFFICIAL:
        lines += [f"**These numbers are on the {corpus} and compare with each other only.** "
                  "Published rows, where shown, are on the real corpora.", ""]
    lines += [table(results, published), ""]
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
        weights = " ".join(f"{weight:.2f}" for weight in task["layer_weights"]) or "one layer"
        rows.append([TASKS[name].title, str(task["steps"]), f"{task['lr']:g}", str(len(task["seeds"])),
                     f"{task['seconds']:.0f} s", weights])
        if task.get("note"):
            notes.append(f"\n\n{TASKS[name].title}: {task['note']}.")
    return markdown.table(["task", "steps", "lr", "seeds", "time", "layer weights"], rows) + "".join(notes)


def table(results: list[dict[str, Any]], published: dict[str, dict[str, float]]) -> str:
    """A Markdown table: a row per model, then the published ones."""
    shown = [name for name in TASKS if any(name in result["tasks"] for result in results)]
    arrows = {"PER": "↓", "Acc": "↑"}
    header = ["model", *(f"{TASKS[name].title} {TASKS[name].measure} {arrows[TASKS[name].measure]}" for name in shown)]
    rows = [[result["label"], *(_cell(result["tasks"].get(name)) for name in shown)] for result in results]
    rows += [[f"*published: {label}*", *(f"{scores[name]:.2f}" if name in scores else "-" for name in shown)]
             for label, scores in published.items()]
    return markdown.table(header, rows)


def _cell(task: dict[str, Any] | None) -> str:
    if task is None:
        return "-"
    mean, spread = mean_and_spread(task["scores"])
    return f"{mean:.2f}" if spread is None else f"{mean:.2f} ± {spread:.2f}"


def mean_and_spread(scores: list[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation over seeds; no spread of a single seed."""
    return statistics.fmean(scores), statistics.stdev(scores) if len(scores) > 1 else None


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """A panel per task, a bar per model with its spread over seeds."""
    shown = [name for name in TASKS if any(name in result["tasks"] for result in results)]
    figure = new_figure(figsize=(2.2 + 2.1 * len(shown), 1.2 + 0.32 * len(results)), layout="tight")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)
    for panel, name in zip(panels[0], shown, strict=True):
        for row, result in enumerate(results):
            if name in result["tasks"]:
                mean, spread = mean_and_spread(result["tasks"][name]["scores"])
                panel.barh(row, mean, xerr=spread or 0.0, color=f"C{row % 10}")
        panel.set_title(f"{TASKS[name].title} {TASKS[name].measure} %")
    panels[0][0].set_yticks(range(len(results)), [result["label"] for result in results])
    panels[0][0].invert_yaxis()
    save_figure(figure, path)


def _read(exp: Path) -> dict[str, Any]:
    path = exp / "results.json"
    if not path.is_file():
        raise UserError(f"{path}: no results; make them with m2d.bin.superb exp={exp}")
    return json.loads(path.read_text(encoding="utf-8"))


def _published(path: Path, rows: list[str]) -> dict[str, dict[str, float]]:
    if not rows:
        return {}
    if not path.is_file():
        raise UserError(f"{path}: no such file of published rows")
    known: dict[str, dict[str, float]] = OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[assignment]
    for row in rows:
        if row not in known:
            raise UserError(f"{path}: no row '{row}'{nearest(row, list(known))}")
    return {row: known[row] for row in rows}
