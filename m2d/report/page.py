"""The HTML page of experiments."""

import base64
import time
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from m2d.common.progress import duration
from m2d.report.charts import bars, line_chart
from m2d.report.experiments import Experiment, flat_settings, read_experiments, read_tables

MOST_BYTES = 4_500_000
"""Pictures past this size of the page are named only."""
ABSENT = "-"


def report(root: Path, paper: dict[str, Any] | None) -> str:
    """The page of the experiments in `root`, beside `paper`, a published setting's options. `UserError` without any."""
    experiments = read_experiments(root)
    sections = {
        "Scores": _scores(root), "Settings": _settings(experiments, paper), "Curves": _curves(experiments),
        "Pictures": _pictures(experiments, root), "Layer weights": _layers(experiments), "Cost": _costs(experiments),
        "Data and machines": _machines(experiments)}
    sections = {title: text for title, text in sections.items() if text}
    links = "".join(f'<a href="#s{number}">{title}</a>' for number, title in enumerate(sections))
    body = "".join(f'<section><h2 id="s{number}">{title}</h2>{text}</section>'
                   for number, (title, text) in enumerate(sections.items()))
    title = f"m2d: {escape(root.resolve().name if root.name != 'exp' else root.resolve().parent.name)}"
    style = resources.files("m2d.report").joinpath("style.css").read_text(encoding="utf-8")
    names = ", ".join(escape(experiment.name) for experiment in experiments)
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>'
            f'<body><h1>{title}</h1><p>Written on {time.strftime("%Y-%m-%d %H:%M")}. Experiments: {names}.</p>'
            f'<nav>{links}</nav>{body}</body></html>')


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of text cells that scrolls. A row in `*` is a paper's, a cell that begins with `!` stands out."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = []
    for row in rows:
        paper = ' class="paper"' if row[0].startswith("*") else ""
        cells = "".join(f'<td class="differs">{escape(cell[1:])}</td>' if cell.startswith("!") else
                        f"<td>{escape(cell.strip('*'))}</td>" for cell in row)
        lines.append(f"<tr{paper}>{cells}</tr>")
    return (f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody>'
            "</table></div>")


def _scores(root: Path) -> str:
    parts = []
    for path, found in read_tables(root):
        warning = next((line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("**")
                        and ("stood in" in line or "compare with each other only" in line)), "")
        scores = [table for table in found if table.header[0].lower() == "model"]
        if scores and warning:
            parts.append(f'<p class="note">{escape(warning.replace("**", ""))}</p>')
        parts += [f"<h3>{escape(table.heading)}</h3>{html_table(table.header, table.rows)}" for table in scores]
    for path in sorted(root.glob("*.png")):
        parts.append(picture(path, CAPTIONS.get(path.stem, path.stem)))
    return "".join(parts)


def _settings(experiments: list[Experiment], paper: dict[str, Any] | None) -> str:
    """The options in which the runs differ from the paper or from each other."""
    trained = [experiment for experiment in experiments if experiment.settings]
    if not trained:
        return ""
    published = flat_settings(paper or {})
    header = ["Option", *(["paper"] if paper else []), *(experiment.name for experiment in trained)]
    rows, same = [], 0
    for key in dict.fromkeys(key for experiment in trained for key in experiment.settings):
        values = [experiment.settings.get(key) for experiment in trained]
        reference = published.get(key, values[0])
        if all(value == reference for value in values):
            same += 1
            continue
        rows.append([key, *([_shown(published[key]) if key in published else ABSENT] if paper else []),
                     *((_shown(value) if value == reference else f"!{_shown(value)}") for value in values)])
    about = f"{same} options are the same in all" + (" and as in the paper" if paper else "")
    return f"<p>Options that differ; {about}.</p>{html_table(header, rows) if rows else ''}"


def _shown(value: Any) -> str:
    return ABSENT if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _curves(experiments: list[Experiment]) -> str:
    trained = [experiment for experiment in experiments if any("loss" in line for line in experiment.metrics)]
    parts = []
    if len(trained) > 1:
        parts.append("<h3>All runs</h3><div class='charts'>" + line_chart(
            {experiment.name: _points(experiment, "loss") for experiment in trained}, "epoch", "loss") + "</div>")
    for experiment in trained:
        names = list(dict.fromkeys(name for line in experiment.metrics for name in line))
        terms = [name for name in names[1 + names.index("loss"):names.index("grad_norm")] if not name.endswith("_std")]
        losses = ["loss", *(terms if len(terms) > 1 else []), "valid_loss"]
        charts = [line_chart({name: _points(experiment, name) for name in losses}, "epoch", "loss"),
                  line_chart({name: _points(experiment, name) for name in ("target_std", "latent_std")}, "epoch",
                             "deviation over tokens"),
                  line_chart({"lr": _points(experiment, "lr")}, "epoch", "learning rate"),
                  line_chart({name: _points(experiment, name) for name in names if name.startswith("probe_")}, "epoch",
                             "probe's score")]
        parts.append(f"<h3>{escape(experiment.name)}</h3><div class='charts'>{''.join(charts)}</div>")
    return "".join(parts)


def _points(experiment: Experiment, name: str) -> list[tuple[float, float]]:
    return [(line["epoch"], line[name]) for line in experiment.metrics if line.get(name) is not None]


CAPTIONS = {"masked_input": "Input, what is masked, and the cosine of prediction and target at each masked patch",
            "embedding": "Clips by the first two principal components of their frozen features",
            "confusion": "True and predicted classes",
            "layers": "Score of each layer, and its weight in the learnt sum",
            "superb": "SUPERB scores, as in the table"}


def _pictures(experiments: list[Experiment], root: Path) -> str:
    parts, used, left_out = [], sum(path.stat().st_size for path in root.glob("*.png")) * 4 // 3, []
    for experiment in experiments:
        for path in experiment.images:
            if path.stem in ("losses", "deviation", "probe"):  # drawn as curves
                continue
            used += path.stat().st_size * 4 // 3
            name = "/".join(path.with_suffix("").parts[path.parts.index(experiment.name):])
            if used > MOST_BYTES:
                left_out.append(name)
            else:
                parts.append(picture(path, f"{name}. {CAPTIONS.get(path.stem, '')}"))
    if left_out:
        parts.append(f"<p>Left out for the size of the page: {escape(', '.join(left_out))}.</p>")
    return "".join(parts)


def picture(path: Path, caption: str) -> str:
    """A PNG inside the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    return (f'<figure><div class="picture"><img alt="{escape(caption)}" src="data:image/png;base64,{data}"></div>'
            f"<figcaption>{escape(caption)}</figcaption></figure>")


def _layers(experiments: list[Experiment]) -> str:
    parts = []
    for experiment in experiments:
        for task, weights in experiment.layer_weights.items():
            title = f"{experiment.name}, {task}"
            parts.append(f'<figure>{bars(weights, 0, title)}<figcaption>{escape(title)}</figcaption></figure>')
    return f"<p>Share of each layer in the learnt sum.</p><div class='charts'>{''.join(parts)}</div>" if parts else ""


def _costs(experiments: list[Experiment]) -> str:
    rows = [[experiment.name, what, duration(seconds)] for experiment in experiments
            for what, seconds in experiment.costs.items()]
    return html_table(["Experiment", "what", "time"], rows) if rows else ""


def _machines(experiments: list[Experiment]) -> str:
    parts = []
    for experiment in experiments:
        environment = experiment.environment
        if not environment:
            continue
        packages = ", ".join(f"{name} {version}" for name, version in environment["versions"].items() if version)
        device = ", ".join(environment["gpus"]) or f"CPU, {environment['cpus']} processors"
        rows = [["machine", f"{environment['host']}, {environment['platform']}: {device}"],
                ["versions", f"Python {environment['python']}, {packages}; commit {environment['source']['git']}"
                 + (" (changed)" if environment["source"]["changed"] else "")],
                ["command", environment["command"]], *([f"data: {key}", text] for key, text in experiment.data.items())]
        parts.append(f"<h3>{escape(experiment.name)}</h3>{html_table(['', ''], rows, 'text')}")
    return "".join(parts)
