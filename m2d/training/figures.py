"""Figures at the end of a run: the losses, and the model's predictions for one clip."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from m2d.common.figures import new_figure, save_figure
from m2d.nn import Objective
from m2d.training.data_modules import DataModule
from m2d.training.monitor import read_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_figures(directory: Path, objective: Objective, data: DataModule) -> None:
    """Write `images/` of an experiment: losses.png, deviation.png, masked_input.png; of a watched one probe.png."""
    images = directory / "images"
    lines = read_metrics(directory / "metrics.jsonl")
    losses = ["loss", *objective.terms]
    save_figure(curves(lines, [*losses, *(f"valid_{name}" for name in losses)], "loss"), images / "losses.png")
    save_figure(curves(lines, ["target_std", "latent_std"], "deviation over tokens"), images / "deviation.png")
    if any("probe_knn" in line for line in lines):
        save_figure(curves(lines, ["probe_knn", "probe_linear"], "probe, %"), images / "probe.png")
    if hasattr(objective, "predictor"):
        save_figure(masked_input(objective, data), images / "masked_input.png")


def curves(lines: list[dict[str, Any]], names: list[str], label: str) -> "Figure":
    """Values of metrics.jsonl over epochs; names without values are left out, validation is dashed."""
    figure = new_figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in names:
        points = [(line["epoch"], line[name]) for line in lines if line.get(name) is not None]
        if points:
            style = "--" if name.startswith("valid_") else "-"
            axes.plot(*zip(*points, strict=True), style, label=name, linewidth=1)
    axes.set(xlabel="epoch", ylabel=label)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
    return figure


@torch.no_grad()
def masked_input(objective: Objective, data: DataModule) -> "Figure":
    """One sample: its input, the mask and the cosine of prediction and target (if there is one) at masked patches."""
    config = objective.config
    grid, (f, t) = config.encoder.grid, config.patch_size
    inputs = data.inputs(data.copied(data.example()))
    prediction = objective.predict(inputs["x"], inputs["mask_noise"])
    shown = data.picture(inputs["x"][0, ..., :grid.n_time * t])

    def image(patches: np.ndarray) -> np.ndarray:  # [L] -> [F, T]
        return np.kron(patches.reshape(grid), np.ones((f, t)))

    masked = prediction.mask.masked[0].cpu().numpy()
    hidden = np.zeros(grid.n_patches)
    hidden[masked] = np.nan
    seen = (shown.values.T + image(hidden).T).T  # [F, T] and [F, T, 3] alike
    panels = {"input": shown.values, "what the online encoder sees": seen}
    if (agreement := objective.agreement(prediction)) is not None:
        cosine = np.full(grid.n_patches, np.nan)
        cosine[masked] = agreement[0].cpu().numpy()
        panels[f"cosine of prediction and target (mean {np.nanmean(cosine):.3f})"] = image(cosine)
    figure = new_figure(figsize=(9, 2.2 * len(panels)), layout="constrained")
    for axes, (title, panel) in zip(figure.subplots(len(panels), sharex=True), panels.items(), strict=True):
        height, width = panel.shape[:2]
        rows = (0, height) if shown.origin == "lower" else (height, 0)
        drawn = axes.imshow(panel, origin=shown.origin, aspect="auto", interpolation="nearest",
                            extent=(0, width / shown.x_scale, *rows))
        axes.set(title=title, ylabel=shown.y_label)
        figure.colorbar(drawn, ax=axes)
    axes.set_xlabel(shown.x_label)
    return figure
