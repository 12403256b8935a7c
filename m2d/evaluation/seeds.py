"""Models that differ only in the seed of their pre-training: one row, and conclusions from their spread.

Results with the same label belong to one setting; the seed is that of the pre-training run in whose folder they are, or
that of random weights.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from m2d.common import markdown
from m2d.evaluation.paper import LINEAR_TASKS, Printed, Row
from m2d.evaluation.scores import interval
from m2d.pretrained.names import parse_model

LOG = logging.getLogger(__name__)

Setting = dict[int, dict[str, dict[str, Any]]]
"""The results of one label: seed -> task -> result."""


def by_setting(results: list[dict[str, Any]]) -> dict[str, Setting]:
    """Label -> seed -> task -> result. Of two models with the same label and seed the first counts, with a warning."""
    settings: dict[str, Setting] = {}
    for result in results:
        tasks = settings.setdefault(result["label"], {}).setdefault(seed_of(result), {})
        first = tasks.setdefault(result["task"]["name"], result)
        if first is not result:
            LOG.warning("%s and %s are both '%s' of seed %d: the first counts", first["exp"], result["exp"],
                        result["label"], seed_of(result))
    return settings


def seed_of(result: dict[str, Any]) -> int:
    """The seed of a model's weights; 0 for models that are not ours."""
    if is_random(result["model"]):
        return int(parse_model(result["model"]).detail or 0)
    config = Path(result["exp"]) / "config.yaml"
    return int(OmegaConf.select(OmegaConf.load(config), "run.seed", default=0)) if config.is_file() else 0


def is_random(model: str) -> bool:
    """Whether a model of this name has random weights."""
    return model.startswith("random:")


def averaged(setting: Setting) -> Row:
    """Task -> score: that of the only model, or mean and interval over the models of several seeds."""
    tasks = dict.fromkeys(name for results in setting.values() for name in results)
    row = {}
    for name in tasks:
        found = [results[name] for results in setting.values() if name in results]
        row[name] = Printed(*interval([result["mean"] for result in found])) if len(found) > 1 \
            else Printed(found[0]["mean"], found[0]["ci"])
    return row


def compared(settings: dict[str, Setting]) -> tuple[dict[str, dict[str, np.ndarray]], list[str]]:
    """Settings with several seeds, and log-mel, on the papers' tasks that all of their models have.

    Without any of the papers' tasks, other tasks are compared.

    Returns label -> task -> scores `[seeds]`, and the tasks; both empty if no setting has several seeds.
    """
    shown = {label: setting for label, setting in settings.items() if len(setting) > 1 or _model(setting) == "logmel"}
    if all(len(setting) == 1 for setting in shown.values()):
        return {}, []
    common = set.intersection(*(set(results) for setting in shown.values() for results in setting.values()))
    tasks = [name for name in LINEAR_TASKS if name in common] or sorted(common)
    if not tasks:
        return {}, []
    return {label: {name: np.array([results[name]["mean"] for _, results in sorted(setting.items())]) for name in tasks}
            for label, setting in shown.items()}, tasks


def seed_table(scores: dict[str, dict[str, np.ndarray]], settings: dict[str, Setting],
               tasks: list[str]) -> list[list[str]]:
    """Cells of a table with each task's mean and standard deviation over seeds, and those of the mean over tasks."""
    titles = _titles(settings)
    lines = [["Model", "Seeds", *(titles[name] for name in tasks), "Avg. of each seed", "Avg."]]
    for label, row in scores.items():
        average = _average(row)
        seeds = "-" if _model(settings[label]) == "logmel" else ", ".join(map(str, sorted(settings[label])))
        lines.append([label, seeds, *(_cell(row[name]) for name in tasks),
                      ", ".join(f"{value:.1f}" for value in average), _cell(average)])
    return lines


def claims(scores: dict[str, dict[str, np.ndarray]], settings: dict[str, Setting]) -> list[str]:
    """For every pre-trained setting, in numbers: does it beat random weights and log-mel, and by more than chance?

    Random weights must be beaten on the mean over the tasks by more than the spread, the distance from the lowest to
    the highest seed (the wider of the two settings'); log-mel on at least one task by more than that task's spread
    (the wider of the setting's and that of log-mel's evaluation). Of several random architectures the best is
    compared with. Missing baselines are left out.
    """
    titles = _titles(settings)
    drawn = {label: _average(row) for label, row in scores.items() if is_random(_model(settings[label]))}
    floor = max(drawn, key=lambda label: drawn[label].mean(), default=None)
    logmel = next((label for label in scores if _model(settings[label]) == "logmel"), None)
    lines = []
    for label, row in scores.items():
        average = _average(row)
        if label == logmel or label in drawn:
            continue
        if floor is not None:
            gain, spread = average.mean() - drawn[floor].mean(), max(np.ptp(average), np.ptp(drawn[floor]))
            lines.append(
                f"{label} beats {floor} on the mean over {len(row)} tasks by more than the spread over seeds: "
                f"{_verdict(gain > spread)} ({average.mean():.2f} against {drawn[floor].mean():.2f}: {gain:+.2f}, "
                f"spread {spread:.2f}; {len(average)} and {len(drawn[floor])} seeds).")
        if logmel is not None:
            clear = []
            for name, values in row.items():
                gain = values.mean() - scores[logmel][name].mean()
                if gain > max(np.ptp(values), np.ptp(_first(settings[logmel])[name]["scores"])):
                    clear.append(f"{titles[name]} {gain:+.1f}")
            lines.append(
                f"{label} beats {logmel} on at least one task by more than its spread over seeds: "
                f"{_verdict(bool(clear))} ({len(clear)} of {len(row)}{': ' if clear else ''}{', '.join(clear)}; "
                f"mean over tasks {average.mean() - _average(scores[logmel]).mean():+.2f}).")
    return lines


def _verdict(holds: bool) -> str:
    return "**yes**" if holds else "**no**"


def _cell(values: np.ndarray) -> str:
    """Mean and standard deviation; the mean alone for one value."""
    return markdown.plus_minus(values.mean(), values.std(ddof=1) if len(values) > 1 else None)


def _average(row: dict[str, np.ndarray]) -> np.ndarray:
    return np.mean(list(row.values()), axis=0)


def _titles(settings: dict[str, Setting]) -> dict[str, str]:
    return {name: result["task"]["title"] for setting in settings.values() for results in setting.values()
            for name, result in results.items()}


def _first(setting: Setting) -> dict[str, dict[str, Any]]:
    return next(iter(setting.values()))


def _model(setting: Setting) -> str:
    return next(iter(_first(setting).values()))["model"]
