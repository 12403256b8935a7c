"""Figures of evaluations: confusion matrices, embeddings, layers, masking ratio against groups of tasks."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from m2d.common.figures import new_figure, save_figure
from m2d.evaluation.paper import GROUP_TITLES, Printed

MAX_NAMED = 60
"""Maximum number of classes whose names are shown on a confusion matrix."""
SHOWN_CLIPS, SHOWN_CLASSES = 2000, 10
"""Of an embedding: clips drawn, and classes that get a colour; the other classes are grey."""


def draw_confusion(path: Path, confusion: np.ndarray, classes: list[str], title: str) -> None:
    """Plot the matrix `[true, predicted]`, each row normalised by its clips."""
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    side = min(3 + 0.22 * len(classes), 14)
    figure = new_figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
    figure.colorbar(image, ax=axes, label="share of the true class")
    axes.set(title=_wrapped(title, side), xlabel="predicted", ylabel="true")
    if len(classes) <= MAX_NAMED:
        axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=7)
        axes.set_yticks(range(len(classes)), classes, fontsize=7)
    save_figure(figure, path)


def draw_embedding(path: Path, vectors: np.ndarray, targets: np.ndarray, classes: list[str], title: str) -> None:
    """Clips on the first two principal components of standardised `vectors` `[clips, D]`, by class (`targets`)."""
    rows = np.flatnonzero(np.isfinite(vectors).all(1))
    rows = np.random.default_rng(0).permutation(rows)[:SHOWN_CLIPS]
    if len(rows) < 3:
        return
    x, targets = vectors[rows].astype(np.float64), targets[rows]
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-6)
    left, sizes, _ = np.linalg.svd(x, full_matrices=False)
    points, shares = left[:, :2] * sizes[:2], sizes[:2] ** 2 / np.sum(sizes ** 2)
    figure = new_figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    common = np.argsort(-np.bincount(targets, minlength=len(classes)), kind="stable")[:SHOWN_CLASSES]
    others = ~np.isin(targets, common)
    axes.scatter(*points[others].T, s=8, color="0.8", label="other classes" if others.any() else None)
    for index in sorted(common):
        axes.scatter(*points[targets == index].T, s=10, label=classes[index])
    axes.set(title=title, xlabel=f"first principal component ({shares[0]:.0%} of the variance)",
             ylabel=f"second ({shares[1]:.0%})")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    save_figure(figure, path)


def draw_masking_ratios(path: Path, points: list[tuple[float, dict[str, Printed | None]]]) -> None:
    """Linear evaluation over the masking ratio, one panel per group of tasks and one for all (M2D, figure 3).

    `points`: masking ratio and the mean of each group (`env`, `speech`, `music`, `avg`), None if unknown.
    """
    panels = GROUP_TITLES | {"avg": "Avg."}
    figure = new_figure(figsize=(12, 3), layout="constrained")
    for axis, (group, title) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        known = [(ratio, means[group]) for ratio, means in points if means[group] is not None]
        axis.errorbar([ratio for ratio, _ in known], [score.mean for _, score in known],
                      [score.ci or 0 for _, score in known], marker="o", capsize=3)
        axis.set(title=title, xlabel="masking ratio", ylabel="accuracy %")
    save_figure(figure, path)


def draw_layers(path: Path, layers: list[dict[str, Any]], title: str) -> None:
    """Test score of each layer, with its interval over seeds, and of their learnt sum with its weights below."""
    *single, summed = layers
    figure = new_figure(figsize=(2 + 0.5 * len(layers), 4), layout="constrained")
    score, weight = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    places = range(len(layers))
    score.errorbar(places, [layer["mean"] for layer in layers], [layer["ci"] or 0 for layer in layers], marker="o",
                   linestyle="none", capsize=3)
    score.set(title=_wrapped(title, 2 + 0.5 * len(layers)), ylabel="test score %")
    weight.bar(places[:-1], summed.get("weights", [1.0] * len(single)))
    weight.set_xticks(places, [str(layer["layer"]) for layer in layers])
    weight.set(xlabel="layer", ylabel="weight in the sum")
    save_figure(figure, path)


def _wrapped(title: str, inches: float) -> str:
    """The title in lines that fit a figure of that width."""
    return "\n".join(textwrap.wrap(title, int(9 * inches)))
