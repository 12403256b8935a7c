"""Whole evaluations: from a model's name and prepared tasks to results on disk."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from m2d.audio.logmel import LogMelConfig
from m2d.common.device import pick_device
from m2d.common.errors import UserError
from m2d.evaluation.clips import statistics
from m2d.evaluation.features import compute_features, unreadable
from m2d.evaluation.finetune import TaskArrays, TuneOptions, finetune
from m2d.evaluation.linear import LinearOptions, evaluate
from m2d.evaluation.models import LogMelFrames, load_model, own_model
from m2d.evaluation.results import write_result
from m2d.evaluation.scores import interval
from m2d.evaluation.task import Task

LOG = logging.getLogger(__name__)
READ_BATCH = 64
"""Clips per batch when frozen features and log-mels are computed."""


def linear_tasks(model_name: str, label: str, tasks: Sequence[str | Path], out: str | Path, options: LinearOptions,
                 device: str, workers: int) -> None:
    """Evaluate one model on prepared tasks (folders); results go to `out/linear/TASK/`.

    Features are kept there too, so that another learning rate or more seeds take seconds.
    """
    prepared = [(Path(folder), Task.read(folder)) for folder in tasks]  # all, before the first hour of work
    device = str(pick_device(device))
    model = load_model(model_name, device)
    for folder, task in prepared:
        directory = Path(out) / "linear" / task.name
        if model.uses_statistics:
            model.set_statistics(*statistics(task, folder, READ_BATCH, workers))
        features = compute_features(directory, task, model, READ_BATCH, workers)
        result = evaluate(features, task, options, device) | {"unreadable": unreadable(directory)}
        LOG.info("%s on %s: %.2f%s %%", label, task.title, result["mean"],
                 "" if result["ci"] is None else f" ± {result['ci']:.2f}")
        write_result(directory, "linear", label, model_name, task, options, result)


def finetune_task(model_name: str, label: str, folder: str | Path, out: str | Path, tuning: str, options: TuneOptions,
                  seeds: Sequence[int], device: str, workers: int) -> None:
    """Fine-tune one of our models on one prepared task; the result goes to `out/finetune/TUNING/TASK/`, runs below it.

    The task's log-mels are kept in its own folder, because every model and seed reads them many times. Raises
    `UserError` for a model that is not ours or that takes other log-mels, and a `tuning` that is not one folder's name.
    """
    if not seeds:
        raise UserError("seeds is empty: give at least one")
    if not tuning or Path(tuning).name != tuning:
        raise UserError(f"tuning={tuning}: give one name of a folder; the report reads finetune/TUNING/TASK/")
    task = Task.read(folder)
    device = str(pick_device(device))
    front_end = own_model(model_name, device).model.logmel.config
    if front_end != LogMelConfig():
        raise UserError(f"{model_name} takes log-mels of its own ({front_end}): fine-tuning reads only the standard")
    mean, std = statistics(task, folder, READ_BATCH, workers)
    store = Path(folder) / "logmel"
    logmels = compute_features(store, task, LogMelFrames(device), READ_BATCH, workers, "float16")
    data = TaskArrays(task, logmels, mean, std, device)
    directory = Path(out) / "finetune" / tuning / task.name
    scores = []
    confusion = None if task.multilabel else np.zeros((len(task.classes),) * 2, dtype=int)
    for seed in seeds:
        parts = []
        for fold in task.parts if task.has_folds else [None]:
            run = directory / f"seed{seed}" / (f"fold{fold}" if fold else "")
            encoder = own_model(model_name, device).model.encoder
            tuned = finetune(encoder, data, fold, options, seed, run)
            parts.append(tuned["score"])
            if confusion is not None:
                np.add.at(confusion, (data.targets[tuned["rows"]].argmax(1), tuned["predictions"]), 1)
        scores.append(float(np.mean(parts)))
        LOG.info("%s fine-tuned on %s, seed %d: %.2f", label, task.title, seed, scores[-1])
    average, ci = interval(scores)
    write_result(directory, "finetune", label, model_name, task, options, {
        "scores": scores, "mean": average, "ci": ci, "seeds": list(seeds),
        "clips": {part: len(rows) for part, rows in data.rows.items()}, "confusion": confusion,
        "unreadable": unreadable(store)})
