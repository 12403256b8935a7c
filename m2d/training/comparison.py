"""Comparison of runs: losses, and whether target or latents collapsed, as a table and a figure."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import MISSING

from m2d.common import markdown
from m2d.common.config import load_config, option
from m2d.common.errors import UserError
from m2d.common.figures import new_figure, save_figure
from m2d.common.files import existing_file, write_text
from m2d.nn.objectives import OBJECTIVES
from m2d.training.config import PretrainConfig, changes, plain
from m2d.training.monitor import COLLAPSED, read_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WINDOW = 20  # steps that are averaged: single batches are noisy
DEVIATIONS = {"target_std": "target's deviation", "latent_std": "latents' deviation"}
LOSSES = {term: label for name in OBJECTIVES for term, label in OBJECTIVES.get(name).terms.items()}
QUANTITIES = {**LOSSES, **DEVIATIONS}


@dataclass
class ComparisonOptions:
    exps: list[str] = option(MISSING, "experiment directories of m2d.bin.pretrain; seeds of one setting make one row")
    out: str = option("OBJECTIVES.md", "the Markdown file to write")
    figure: str = option("objectives.png", "the image file to write, linked in the Markdown")


@dataclass
class Setting:
    """The runs of one setting, which differ in their seeds."""

    config: PretrainConfig  # of the first
    runs: list[str]  # names of their directories
    curves: dict[str, list[tuple[np.ndarray, np.ndarray]]]  # quantity -> per run: epochs, values, each [windows]

    @property
    def title(self) -> str:
        return title(self.config)

    @property
    def collapsed(self) -> bool:
        """Whether the target, or without one the latents, ever collapsed to the same value for every patch."""
        watched = next(name for name in DEVIATIONS if name in self.curves)
        return min(values.min() for _, values in self.curves[watched]) < COLLAPSED


def compare_runs(options: ComparisonOptions) -> None:
    """Write the table and the figure of finished runs. `UserError` for a directory without one, or without a step."""
    rows: list[Setting] = []
    for exp in map(Path, options.exps):
        existing_file(exp / "done", f"file: {exp} holds no finished run of m2d.bin.pretrain")
        config = load_config(PretrainConfig, exp / "config.yaml")
        curves = windows(exp / "metrics.jsonl")
        setting = next((row for row in rows if all(  # the same but for the seed
            change.startswith("run.seed:") for change in changes(plain(row.config), plain(config)))), None)
        if setting is None:
            setting = Setting(config, [], {})
            rows.append(setting)
        setting.runs.append(exp.name)
        for name, curve in curves.items():
            setting.curves.setdefault(name, []).append(curve)
    figure = Path(options.figure)
    save_figure(draw(rows), figure)
    write_text(options.out, document(rows, os.path.relpath(figure, Path(options.out).parent)))


def title(config: PretrainConfig) -> str:
    """Objective and data of a run, from its options: `M2D + denoising distillation, 80x4, noise 0.2`."""
    model, noise = config.model, config.data.noise_ratio
    online = OBJECTIVES.get(model.objective).title
    parts = [online] if model.lambda_m2d > 0 else []
    if model.lambda_off > 0:
        parts.append("denoising distillation" if noise > 0 else "distillation")
    patch = "x".join(map(str, model.patch_size))
    return ", ".join([" + ".join(parts), patch, *([f"noise {noise:g}"] if noise > 0 else [])])


def windows(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Epochs and values `[windows]` of each quantity, means over `WINDOW` finite steps. `UserError` without any."""
    steps = [line for line in read_metrics(path) if line.get("skipped") == 0]
    if not steps:
        raise UserError(f"{path}: no finite step is recorded there")
    cuts = np.arange(0, len(steps), WINDOW)
    counts = np.diff([*cuts, len(steps)])

    def mean(name: str) -> np.ndarray:
        return np.add.reduceat(np.array([step[name] for step in steps], dtype=float), cuts) / counts

    return {name: (mean("epoch"), mean(name)) for name in QUANTITIES if name in steps[0]}


def document(rows: list[Setting], figure: str) -> str:
    """The Markdown text."""
    shown = [name for name in QUANTITIES if any(name in row.curves for row in rows)]
    lines = ["# Losses and deviations of pre-training", "",
             f"Start / minimum / end of each run, in means over {WINDOW} steps. Of several seeds: the mean of the "
             "starts, the lowest minimum, the mean of the ends.",
             "The deviation is that of each dimension over all tokens of a batch, averaged over dimensions, of the "
             "standardised target and of the online encoder's output; near 0, the network's output is the same for "
             f"every patch. Collapsed means that the target's deviation (without a target, the latents') fell under "
             f"{COLLAPSED:g}.", ""]
    table = markdown.table(["objective", *(QUANTITIES[name] for name in shown), "collapsed", "runs"], [
        [row.title, *(_cell(row.curves[name]) if name in row.curves else "-" for name in shown),
         "yes" if row.collapsed else "no", " ".join(row.runs)] for row in rows])
    return "\n".join([*lines, table, "", f"![losses and deviations]({figure})", ""])


def draw(rows: list[Setting]) -> "Figure":
    """A panel per quantity, a colour per setting, a line per run, over the share of the training."""
    shown = [name for name in QUANTITIES if any(name in row.curves for row in rows)]
    figure = new_figure(figsize=(3.4 * len(shown), 3.2 + 0.22 * len(rows)), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for colour, row in enumerate(rows):
            for epochs, values in row.curves.get(name, []):
                axes.plot(epochs / epochs[-1], values, color=f"C{colour % 10}", linewidth=1,
                          linestyle="-" if colour < 10 else "--")
        axes.set(title=QUANTITIES[name], xlabel="share of the training", ylim=(0, None))
        axes.grid(alpha=0.3)
        if name in DEVIATIONS:
            axes.axhline(COLLAPSED, color="black", linestyle=":", linewidth=1)
    handles = [figure.axes[0].plot([], [], color=f"C{i % 10}", linestyle="-" if i < 10 else "--", label=row.title)[0]
               for i, row in enumerate(rows)]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _cell(curves: list[tuple[np.ndarray, np.ndarray]]) -> str:
    values = [value for _, value in curves]
    start, end = (np.mean([value[i] for value in values]) for i in (0, -1))
    return f"{start:.3f} / {min(value.min() for value in values):.3f} / {end:.3f}"
