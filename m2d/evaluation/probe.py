"""Evaluation of frozen features on a task: linear layers over seeds and folds, kNN, single layers of the model."""

import logging
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from m2d.common.errors import UserError
from m2d.evaluation.linear import LEARNING_RATES, PAPER_LR, Fit, LinearOptions, Split, divide, fit_linear
from m2d.evaluation.paper import LINEAR_TASKS
from m2d.evaluation.scores import class_scores, interval, main_score, measures, probabilities
from m2d.evaluation.task import Task

LOG = logging.getLogger(__name__)
TEMPERATURE = 0.07
"""Temperature of the neighbours' weights exp(cosine / temperature) (weighted kNN, Wu et al., 2018)."""
LATE = 0.05
"""A best epoch among this share of the last ones indicates that training was too short or too slow."""


def evaluate(features: np.ndarray, task: Task, options: LinearOptions, device: str = "cpu") -> dict[str, Any]:
    """Scores in % of one model on one task.

    Args:
        features: `[clips, D]`, or those of every layer `[clips, L, D]`, rows as `task.clips`; a row of NaN belongs to
            an unreadable clip and is left out.
        task: with folds, each is the test part once and a seed's score is the mean over the folds.
        options: the protocol.
        device: where the classifiers are trained.

    Returns what `result.json` holds: `scores` (per seed; accuracy, or mAP of a multi-label task), `mean`, `ci` (95%,
    None for one seed), `valid` (mean validation score), `lr`, `epochs` (the best of each run), `curves` (validation, of
    each run), `measures`, `classes`, `clips` (used per part), `notes`, `predictions` (tested rows, their mean
    probabilities); `knn` and `layers` if requested; and `confusion` (`[true, predicted]` counts over folds and seeds,
    None for several labels).
    Raises `UserError` for a task with too few usable clips.
    """
    usable = np.isfinite(features).all(axis=tuple(range(1, features.ndim)))
    parts = np.array([clip.part if ok else "" for clip, ok in zip(task.clips, usable, strict=True)])
    targets = task.targets()
    vectors = _layer(features, -1, device)
    runs = _splits(task, targets, parts, options)
    lr, notes = options.lr or PAPER_LR, []
    if options.lr is None and task.name not in LINEAR_TASKS:
        lr = _choose_lr(vectors, targets, runs[0][0], task, options)
        notes.append(f"learning rate {lr:g}, the best of {', '.join(f'{lr:g}' for lr in LEARNING_RATES)} on validation")
    result = _run(vectors, targets, runs, lr, task, options)
    rows, scores = result.pop("rows"), result.pop("probabilities")
    last = sum(epoch + 1 > options.epochs * (1 - LATE) for epoch in result["epochs"])
    if last:
        notes.append(f"the best epoch of {last} of {len(result['epochs'])} runs is among the last of {options.epochs}: "
                     "raise linear.lr or linear.epochs")
    for line in notes:
        LOG.info("%s: %s", task.title, line)
    result |= {
        "lr": lr, "notes": notes, "clips": {part: int(np.sum(parts == part)) for part in task.parts},
        "measures": measures(targets[rows], scores, task.multilabel),
        "classes": class_scores(targets[rows], scores, task.classes, task.multilabel),
        "predictions": (rows, scores.mean(0)),
        "confusion": None if task.multilabel else confusion_of(targets[rows], scores)}
    if options.knn:
        result["knn"] = _knn_scores(vectors, targets, runs[0], task, options.knn)
    if features.ndim == 3 and features.shape[1] > 1:
        result["layers"] = _layers(features, targets, runs, lr, task, options, device)
    return result


def knn(vectors: Tensor, targets: np.ndarray, split: Split, neighbours: int) -> np.ndarray:
    """Votes `[test clips, C]` of the nearest training and validation clips by cosine of standardised vectors."""
    rows = np.concatenate([split.train, split.valid])
    known = vectors[rows]
    mean, std = known.mean(0), known.std(0)
    std = torch.where(std > 0, std, 1.0)
    known = F.normalize((known - mean) / std, dim=1)
    labels = torch.from_numpy(targets[rows]).to(vectors.device)
    votes = []
    for batch in torch.from_numpy(split.test).split(1024):
        near = (F.normalize((vectors[batch] - mean) / std, dim=1) @ known.T).topk(min(neighbours, len(rows)), dim=1)
        weights = ((near.values - 1) / TEMPERATURE).exp()
        votes.append((weights[..., None] * labels[near.indices]).sum(1) / weights.sum(1, keepdim=True))
    return torch.cat(votes).cpu().numpy()


def _layer(features: np.ndarray, index: int, device: str) -> Tensor:
    part = features if features.ndim == 2 else features[:, index]
    return torch.from_numpy(np.array(part, dtype=np.float32)).to(device)


def _splits(task: Task, targets: np.ndarray, parts: np.ndarray, options: LinearOptions) -> list[list[Split]]:
    """For each seed the splits to run: one, or one per fold."""
    runs = [[divide(targets, parts, test_part, seed) for test_part in (task.parts if task.has_folds else ["test"])]
            for seed in options.seeds]
    for split in runs[0]:
        if not (len(split.train) and len(split.valid) and len(split.test)):
            raise UserError(f"{task.title}: no usable clips are left to train, validate or test on")
    return runs


def _choose_lr(vectors: Tensor, targets: np.ndarray, split: Split, task: Task, options: LinearOptions) -> float:
    """The rate with the best validation score, and among equal ones the lowest validation loss."""
    labels = torch.from_numpy(targets).to(vectors.device)
    fits = {lr: fit_linear(vectors, labels, split, lr, options, options.seeds[0], task.multilabel)
            for lr in LEARNING_RATES}
    return max(fits, key=lambda lr: (fits[lr].score, -fits[lr].loss))


def _run(vectors: Tensor, targets: np.ndarray, runs: list[list[Split]], lr: float, task: Task,
         options: LinearOptions) -> dict[str, Any]:
    """Scores over seeds and folds; `rows` tested and their `probabilities` `[S, rows, C]` under each seed."""
    labels = torch.from_numpy(targets).to(vectors.device)
    scores, fits, outputs = [], [], []
    for seed, splits in zip(options.seeds, runs, strict=True):
        found: list[Fit] = [fit_linear(vectors, labels, split, lr, options, seed, task.multilabel) for split in splits]
        scores.append(float(np.mean([100 * main_score(targets[split.test], fit.logits, task.multilabel)
                                     for split, fit in zip(splits, found, strict=True)])))
        outputs.append(np.concatenate([fit.logits for fit in found]))
        fits += found
    mean, ci = interval(scores)
    mixes = [fit.mix for fit in fits if fit.mix]
    return {"scores": scores, "mean": mean, "ci": ci, "valid": float(np.mean([100 * fit.score for fit in fits])),
            "epochs": [fit.epoch for fit in fits],
            "curves": [[round(100 * value, 2) for value in fit.curve] for fit in fits],
            "rows": np.concatenate([split.test for split in runs[0]]),
            "probabilities": probabilities(np.stack(outputs), task.multilabel)} | (
                {"weights": np.mean(mixes, axis=0).round(4).tolist()} if mixes else {})


def _layers(features: np.ndarray, targets: np.ndarray, runs: list[list[Split]], lr: float, task: Task,
            options: LinearOptions, device: str) -> list[dict[str, Any]]:
    """`mean`, `ci` and `valid` of each layer from the first, then of their learnt sum with its `weights`."""
    found = []
    for index in [*range(features.shape[1]), None]:
        vectors = torch.from_numpy(np.array(features, np.float32)).to(device) if index is None \
            else _layer(features, index, device)
        run = _run(vectors, targets, runs, lr, task, options)
        found.append({"layer": "sum" if index is None else index,
                      **{name: run[name] for name in ("mean", "ci", "valid", "weights") if name in run}})
    best = max(found, key=lambda one: one["valid"])
    LOG.info("%s: best layer on validation: %s (test %.2f)", task.title, best["layer"], best["mean"])
    return found


def _knn_scores(vectors: Tensor, targets: np.ndarray, splits: list[Split], task: Task,
                neighbours: int) -> dict[str, Any]:
    votes = [knn(vectors, targets, split, neighbours) for split in splits]
    rows = np.concatenate([split.test for split in splits])
    scores = [100 * main_score(targets[split.test], vote, task.multilabel)
              for split, vote in zip(splits, votes, strict=True)]
    return {"neighbours": neighbours, "mean": float(np.mean(scores)),
            "measures": measures(targets[rows], np.concatenate(votes)[None], task.multilabel)}


def confusion_of(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Counts `[true, predicted]` over seeds."""
    counts = np.zeros((targets.shape[1],) * 2, dtype=int)
    for one in scores:
        np.add.at(counts, (targets.argmax(1), one.argmax(1)), 1)
    return counts
