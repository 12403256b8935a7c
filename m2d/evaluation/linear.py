"""Linear evaluation as in the papers: a linear layer on standardised, frozen clip vectors (M2D, section 4.1).

Adam, learning rate 3e-5, up to 200 epochs, stopped after 20 without a better validation accuracy, the best epoch
kept. The papers do not give the batch size; 128 is our choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2d.common.config import option
from m2d.common.errors import UserError
from m2d.evaluation.scores import interval
from m2d.evaluation.task import Task

VALID_SHARE = 0.1
"""Share of the training clips that validate where the task has no validation part."""


@dataclass
class LinearOptions:
    """The protocol. The defaults are the papers'."""

    lr: float = option(3e-5, "Adam's learning rate")
    epochs: int = option(200, "epochs at most")
    patience: int = option(20, "epochs without a better validation accuracy before the end")
    batch_size: int = option(128, "clips per step")
    seeds: list[int] = option(factory=lambda: [0, 1, 2, 3, 4], help="one run each; mean and 95% interval over them")


@dataclass
class Fit:
    """One trained classifier: its best validation accuracy (0..1), the epoch of it, its predictions `[test clips]`."""

    valid_accuracy: float
    epoch: int
    predictions: np.ndarray


def evaluate(features: np.ndarray, task: Task, options: LinearOptions, device: str = "cpu") -> dict[str, Any]:
    """Accuracies in % of one model on one task.

    Args:
        features: `[clips, D]`, rows as `task.clips`; a row of NaN belongs to an unreadable clip and is left out.
        task: with folds, each is the test part once and a seed's score is the mean over the folds.
        options: the protocol.
        device: where the classifiers are trained.

    Returns `scores` (per seed), `mean`, `ci` (95%, None for one seed), `valid` (mean validation accuracy), `clips`
    (used per part), `confusion` (`[true, predicted]` counts over folds and seeds).
    Raises `UserError` for a multi-label task and for a task of which too little is left.
    """
    if task.multilabel:
        raise UserError(f"{task.title} is a multi-label task: it is fine-tuned, not evaluated linearly")
    if not options.seeds:
        raise UserError("seeds is empty: give at least one")
    vectors = torch.from_numpy(np.array(features, dtype=np.float32))
    usable = vectors.isfinite().all(1).numpy()
    position = {name: index for index, name in enumerate(task.classes)}
    labels = np.array([position[clip.label] for clip in task.clips])
    parts = np.array([clip.part if ok else "" for clip, ok in zip(task.clips, usable, strict=True)])
    vectors, targets = vectors.to(device), torch.from_numpy(labels).to(device)
    scores, valid = [], []
    confusion = np.zeros((len(task.classes),) * 2, dtype=int)
    for seed in options.seeds:
        accuracies = []
        for test_part in task.parts if task.has_folds else ["test"]:
            train, held_out, test = divide(labels, parts, test_part, seed)
            if not (len(train) and len(held_out) and len(test)):
                raise UserError(f"{task.title}: no usable clips are left to train, validate or test on")
            fit = fit_linear(vectors, targets, train, held_out, test, len(task.classes), options, seed)
            accuracies.append(100 * np.mean(fit.predictions == labels[test]))
            valid.append(100 * fit.valid_accuracy)
            np.add.at(confusion, (labels[test], fit.predictions), 1)
        scores.append(float(np.mean(accuracies)))
    mean, ci = interval(scores)
    return {"scores": scores, "mean": mean, "ci": ci, "valid": float(np.mean(valid)),
            "clips": {part: int(np.sum(parts == part)) for part in task.parts}, "confusion": confusion}


def divide(labels: np.ndarray, parts: np.ndarray, test_part: str,
           seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the training, validation and test clips when `test_part` is tested.

    A `valid` part validates where there is one; otherwise `VALID_SHARE` of the training clips, drawn class by class
    with at least one of each class, as long as the class keeps a training clip.
    """
    test = np.flatnonzero(parts == test_part)
    if "valid" in parts:
        return np.flatnonzero(parts == "train"), np.flatnonzero(parts == "valid"), test
    rest = np.flatnonzero((parts != test_part) & (parts != ""))
    random = np.random.default_rng(seed)
    held_out: list[int] = []
    for label in np.unique(labels[rest]):
        members = rest[labels[rest] == label]
        count = min(len(members) - 1, max(1, round(VALID_SHARE * len(members))))
        held_out += random.permutation(members)[:count].tolist()
    valid = np.array(sorted(held_out), dtype=int)
    return np.setdiff1d(rest, valid), valid, test


def fit_linear(vectors: Tensor, targets: Tensor, train: np.ndarray, valid: np.ndarray, test: np.ndarray,
               n_classes: int, options: LinearOptions, seed: int) -> Fit:
    """Train on rows `train` of `vectors` `[clips, D]`, choose the epoch on `valid`, predict `test`."""
    mean, std = vectors[train].mean(0), vectors[train].std(0)
    std = torch.where(std > 0, std, 1.0)  # a constant feature says nothing, and must not become NaN
    x_train, x_valid, x_test = ((vectors[rows] - mean) / std for rows in (train, valid, test))
    y_train, y_valid = targets[train], targets[valid]
    random = torch.Generator().manual_seed(seed)
    layer = nn.Linear(vectors.shape[1], n_classes, device=vectors.device)
    bound = vectors.shape[1] ** -0.5  # nn.Linear's own distribution, from a generator of this run
    for parameter in layer.parameters():
        parameter.data.copy_((2 * torch.rand(parameter.shape, generator=random) - 1) * bound)
    optimizer = torch.optim.Adam(layer.parameters(), lr=options.lr)
    best = Fit(-1.0, -1, np.empty(0, dtype=int))
    for epoch in range(options.epochs):
        for rows in torch.randperm(len(x_train), generator=random).to(vectors.device).split(options.batch_size):
            optimizer.zero_grad()
            F.cross_entropy(layer(x_train[rows]), y_train[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (layer(x_valid).argmax(1) == y_valid).float().mean().item()
            if accuracy > best.valid_accuracy:
                best = Fit(accuracy, epoch, layer(x_test).argmax(1).cpu().numpy())
        if epoch - best.epoch >= options.patience:
            break
    return best
