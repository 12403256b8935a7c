"""Whole evaluations: from a model's name and prepared tasks to results on disk."""

import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import MISSING

from m2d.common.config import option
from m2d.common.device import pick_device
from m2d.common.errors import UserError
from m2d.common.files import sha256
from m2d.evaluation.clips import statistics
from m2d.evaluation.features import compute_features, unreadable
from m2d.evaluation.figures import draw_embedding
from m2d.evaluation.finetune import BEST, TaskArrays, Tuned, best_weights, finetune
from m2d.evaluation.linear import LinearOptions
from m2d.evaluation.options import EvaluationOptions
from m2d.evaluation.probe import confusion_of, evaluate
from m2d.evaluation.report import measured
from m2d.evaluation.results import is_current, write_result
from m2d.evaluation.scores import class_scores, interval, measures, probabilities
from m2d.evaluation.task import Task
from m2d.evaluation.tuning import TuneOptions
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.files import WEIGHTS, load_audio, save_pretrained
from m2d.pretrained.models import LogMelFrames, OwnModel, load_model, own_model

LOG = logging.getLogger(__name__)
READ_BATCH = 64
"""Clips per batch when frozen features and log-mels are computed."""


@dataclass
class LinearConfig(EvaluationOptions):
    """Options of `m2d.bin.linear_eval`; results go to `OUT/linear/TASK/`."""

    tasks: list[str] = option(MISSING, "folders of prepared tasks, [data/esc50,data/us8k,...]")
    linear: LinearOptions = option(factory=LinearOptions)


@dataclass
class FinetuneConfig(EvaluationOptions):
    """Options of `m2d.bin.finetune`; the result goes to `OUT/finetune/TUNING/TASK/`. The model is one of ours."""

    task: str = option(MISSING, "folder of a prepared task")
    tuning: str = option(MISSING, "name of these settings, in paths and tables: table2, public, ...")
    tune: TuneOptions = option(factory=TuneOptions)
    seeds: list[int] = option(factory=lambda: [0, 1, 2], help="one run each; mean and 95% interval over them",
                              items=(1, math.inf))


def linear_tasks(config: LinearConfig) -> None:
    """Evaluate one model on prepared tasks; results go to `OUT/linear/TASK/`.

    Features are cached there too, so that another learning rate or more seeds take seconds. A result of the same
    weights, task content and settings is not computed again.
    """
    prepared = [(Path(folder), Task.read(folder)) for folder in config.tasks]  # before the first long computation
    device, label = str(pick_device(config.device)), config.label or config.model
    model = load_model(config.model, device)
    for folder, task in prepared:
        directory = Path(config.out) / "linear" / task.name
        if model.front_end is not None:
            model.set_statistics(*statistics(task, folder, READ_BATCH, config.workers, model.front_end))
        depends = {"model": model.identity, "task": task.digest(), "options": asdict(config.linear), "label": label}
        if is_current(directory, depends):
            LOG.info("%s on %s: already done", label, task.title)
            continue
        features = compute_features(directory, task, model, READ_BATCH, config.workers,
                                    all_layers=config.linear.layers)
        result = evaluate(features, task, config.linear, device) | {"unreadable": unreadable(directory)}
        _log_score(label, task, result)
        write_result(directory, "linear", label, config.model, task, config.linear, result, depends)
        if not task.multilabel:
            vectors = features if features.ndim == 2 else features[:, -1]
            draw_embedding(directory / "embedding.png", vectors, task.targets().argmax(1), task.classes,
                           f"{label}: {task.title}, frozen features")


def finetune_task(config: FinetuneConfig) -> None:
    """Fine-tune one of our models on one prepared task; the result goes to `OUT/finetune/TUNING/TASK/`, runs below it.

    `model/` there is the fine-tuned model of the first seed (with folds, of the first fold). Log-mels are cached in the
    task's folder, because every model and seed reads them many times. A result of the same weights, task content and
    settings is not computed again. Raises `UserError` for a model that is not ours, and a `tuning` that is not the name
    of a folder.
    """
    tuning, seeds, options = config.tuning, config.seeds, config.tune
    if not tuning or Path(tuning).name != tuning:
        raise UserError(f"tuning={tuning}: give one name of a folder; the report reads finetune/TUNING/TASK/")
    task, label = Task.read(config.task), config.label or config.model
    device = str(pick_device(config.device))
    own = own_model(config.model, device)
    directory = Path(config.out) / "finetune" / tuning / task.name
    depends = {"model": own.weights, "task": task.digest(), "options": asdict(options), "seeds": list(seeds),
               "label": label}
    if is_current(directory, depends) and (directory / "model" / WEIGHTS).is_file():
        LOG.info("%s fine-tuned on %s: already done", label, task.title)
        return
    data = _arrays(own, task, config, device)
    folds: list[str | None] = [*task.parts] if task.has_folds else [None]
    by_seed: list[list[Tuned]] = []
    for seed in seeds:
        by_seed.append([finetune(
            own_model(config.model, device).model.encoder, data, fold, options, seed, _run(directory, seed, fold),
            keep=(seed, fold) == (seeds[0], folds[0])) for fold in folds])
        LOG.info("%s fine-tuned on %s, seed %d: %.2f", label, task.title, seed,
                 np.mean([run.score for run in by_seed[-1]]))
    result = _summary(by_seed, data, task) | {"seeds": list(seeds), "unreadable": unreadable(_store(config, own))}
    _log_score(label, task, result)
    _export(own.model, directory, _run(directory, seeds[0], folds[0]), task, data, config, result)
    write_result(directory, "finetune", label, config.model, task, options, result, depends)


def _store(config: FinetuneConfig, own: OwnModel) -> Path:
    """Folder of a task's log-mels: one per front end."""
    rate = own.model.sample_rate
    return Path(config.task) / ("logmel" if rate == 16000 else f"logmel_{rate}")


def _arrays(own: OwnModel, task: Task, config: FinetuneConfig, device: str) -> TaskArrays:
    front_end = own.model.logmel.config
    mean, std = statistics(task, config.task, READ_BATCH, config.workers, front_end)
    logmels = compute_features(_store(config, own), task, LogMelFrames(device, front_end), READ_BATCH, config.workers,
                               "float16")
    return TaskArrays(task, logmels, mean, std, device)


def _run(directory: Path, seed: int, fold: str | None) -> Path:
    return directory / f"seed{seed}" / (f"fold{fold}" if fold else "")


def _summary(by_seed: list[list[Tuned]], data: TaskArrays, task: Task) -> dict[str, Any]:
    scores = [float(np.mean([run.score for run in runs])) for runs in by_seed]
    mean, ci = interval(scores)
    rows = np.concatenate([run.rows for run in by_seed[0]])
    targets = data.targets[rows]
    outputs = probabilities(np.stack([np.concatenate([run.logits for run in runs]) for runs in by_seed]),
                            task.multilabel)
    runs = [run for runs in by_seed for run in runs]
    return {
        "scores": scores, "mean": mean, "ci": ci, "epochs": [run.epoch for run in runs],
        "curves": [[round(value, 2) for value in run.curve] for run in runs],
        "clips": {part: len(rows) for part, rows in data.rows.items()},
        "measures": measures(targets, outputs, task.multilabel),
        "classes": class_scores(targets, outputs, task.classes, task.multilabel),
        "predictions": (rows, outputs.mean(0)),
        "confusion": None if task.multilabel else confusion_of(targets, outputs)}


def _export(model: M2DFeatures, directory: Path, run: Path, task: Task, data: TaskArrays, config: FinetuneConfig,
            result: dict[str, Any]) -> None:
    """Write the kept run as a model directory that `m2d.load_pretrained` reads, with its measures as a note. The run's
    own copy of the weights is removed then: a later call with another label finds them in the directory.
    """
    if (run / BEST).is_file():
        network = best_weights(run, model.encoder, len(task.classes), config.tune.patchout)
        head = network.head_for_features(task.classes, not task.multilabel, task.seconds)
        tuned = M2DFeatures(network.encoder, model.logmel.config, data.mean, data.std, head)
    else:
        tuned = load_audio(directory / "model")
    save_pretrained(tuned, directory / "model", {
        "fine_tuned_from": config.model, "task": task.name, "tuning": config.tuning, "run": run.name,
        "clips": result["clips"], "score": result["scores"][0], "measures": result["measures"]})
    (run / BEST).unlink(missing_ok=True)
    LOG.info("%s: the fine-tuned model (sha256 %s)", directory / "model", sha256(directory / "model" / WEIGHTS)[:16])


def _log_score(label: str, task: Task, result: dict[str, Any]) -> None:
    """The score with its interval over seeds, the other measures with theirs over clips."""
    LOG.info("%s on %s: %.2f%s %%; %s", label, task.title, result["mean"],
             "" if result["ci"] is None else f" ± {result['ci']:.2f}",
             ", ".join(f"{name} {measured(found)}" for name, found in result["measures"].items()))
