"""From runs to one file per model: `results.json`, with the scores of its tasks in per cent."""

import datetime
import fcntl
import shlex
import statistics
import sys
from pathlib import Path
from typing import Any

from m2d.common.files import read_json, write_json
from m2d.common.provenance import source, versions
from m2d.superb.config import SuperbConfig
from m2d.superb.task import TASKS, Task, ordered
from m2d.superb.worker import Run

PACKAGES = ("torch", "torchaudio", "s3prl", "transformers")


def collect(config: SuperbConfig, runs: list[Run]) -> dict[str, Any]:
    """The scores of one model: per task and column of the table a list over seeds, ER's being the mean of its folds.

    Where learning rates were swept, only the runs of the rate that is best on the dev part count.
    """
    tasks: dict[str, Any] = {}
    for name in dict.fromkeys(run.task for run in runs):
        results = [read_json(Path(run.folder) / "result.json")
                   for run in runs if run.task == name]
        seconds = round(sum(result["seconds"] for result in results), 1)
        chosen = _best_rate(results, TASKS.get(name).dev_is_error)
        seeds = list(dict.fromkeys(result["seed"] for result in chosen))
        first = chosen[0]
        tasks[name] = {
            "scores": {column: [round(statistics.fmean(result["scores"][column] for result in chosen
                                                       if result["seed"] == seed), 3) for seed in seeds]
                       for column in first["scores"]},
            "seeds": seeds, "lr": first.get("lr"),
            "swept": sorted({result["lr"] for result in results if "lr" in result}), "rates": _rates(results),
            "steps": first["settings"]["config"]["runner"].get("total_steps", 0), "seconds": seconds,
            "layer_weights": first["layer_weights"], "best_layer": first.get("best_layer"),
            "note": first["settings"]["note"], "tested": _tested(TASKS.get(name), first["settings"]["config"]),
        }
    return {"label": config.label or config.model, "model": config.model, "content": runs[0].content,
            "corpus": config.corpus, "tasks": tasks,
            "command": shlex.join(["python", "-m", "m2d.bin.superb", *sys.argv[1:]]),
            "date": datetime.date.today().isoformat(), "commit": (source()["git"] or "unknown")[:7],
            "versions": versions(PACKAGES)}


def _tested(task: Task, config: dict[str, Any]) -> int | None:
    """Number of clips that an accuracy is the share of, over all folds; None for other measures."""
    if task.measures[0].name != "Acc" or task.recordings is None:
        return None
    parts = [part for part, _ in task.recordings(config)]
    return len(parts) if len(task.folds) > 1 else parts.count("test")


def _by_rate(results: list[dict[str, Any]]) -> dict[float | None, list[dict[str, Any]]]:
    rates: dict[float | None, list[dict[str, Any]]] = {}
    for result in results:
        rates.setdefault(result.get("lr"), []).append(result)
    return rates


def _dev(runs: list[dict[str, Any]]) -> float:
    """The mean dev score over seeds and folds."""
    return statistics.fmean(run["dev"] for run in runs)


def _best_rate(results: list[dict[str, Any]], dev_is_error: bool) -> list[dict[str, Any]]:
    """The runs of the learning rate whose dev score is best."""
    return (min if dev_is_error else max)(_by_rate(results).values(), key=_dev)


def _rates(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each learning rate, the largest first, the dev score and the test scores, means over seeds and folds."""
    return [{"lr": lr, "dev": round(_dev(runs), 4),
             "scores": {column: round(statistics.fmean(run["scores"][column] for run in runs), 3)
                        for column in runs[0]["scores"]}}
            for lr, runs in sorted(_by_rate(results).items(), key=lambda rate: -(rate[0] or 0.0))]


def store(exp: Path, found: dict[str, Any]) -> dict[str, Any]:
    """Write `exp/results.json`, in turn, with what other commands measured for the same model, label and corpus."""
    exp.mkdir(parents=True, exist_ok=True)
    path = exp / "results.json"
    with open(exp / ".results.lock", "w", encoding="utf-8") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        joined = _joined(read_json(path, {}), found)
        write_json(path, joined)
    return joined


def _joined(earlier: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    same = ("label", "model", "content", "corpus")
    if any(earlier.get(key) != found[key] for key in same) or earlier["tasks"].keys() <= found["tasks"].keys():
        return found
    tasks = {**earlier["tasks"], **found["tasks"]}
    return {**found, "tasks": {name: tasks[name] for name in ordered(list(tasks))},
            "command": "\n".join(dict.fromkeys([*earlier["command"].splitlines(), found["command"]]))}


def merged(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results of the same label and corpus as one, with the scores of all."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for result in results:
        row = rows.setdefault((result["label"], result["corpus"]), {**result, "tasks": {}, "command": ""})
        row["command"] += ("\n" if row["command"] else "") + result["command"]
        for name, task in result["tasks"].items():
            known = row["tasks"].setdefault(name, {**task, "scores": {}, "seeds": [], "seconds": 0.0})
            for column, scores in task["scores"].items():
                known["scores"][column] = known["scores"].get(column, []) + scores
            for key in ("seeds", "seconds"):
                known[key] = known[key] + task[key]
    return list(rows.values())


def columns(result: dict[str, Any]) -> dict[str, tuple[float, float | None]]:
    """Column -> mean and sample standard deviation over seeds; no deviation of a single seed."""
    return {column: (statistics.fmean(scores), statistics.stdev(scores) if len(scores) > 1 else None)
            for task in result["tasks"].values() for column, scores in task["scores"].items()}
