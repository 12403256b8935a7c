"""Trains and tests the runs of one task in one process: `python -m m2d.superb.worker JOB.json PARENT`.

Seeds, folds and evaluation share the process, so that s3prl is imported once and features are computed once.
"""

import contextlib
import dataclasses
import io
import itertools
import logging
import pickle
import re
import shutil
import sys
import time
from pathlib import Path
from typing import IO, Any

import torch
import yaml

from m2d.common.cli import setup_log
from m2d.common.errors import UserError, errors_at
from m2d.common.files import read_json, write_json, write_text
from m2d.common.lifetime import end_with_parent
from m2d.common.progress import duration
from m2d.pretrained import s3prl_compat
from m2d.superb.downstream import run_s3prl
from m2d.superb.registration import register
from m2d.superb.statistics import task_statistics
from m2d.superb.task import TASKS

LOG = logging.getLogger(__name__)
FAILURE = "failure.txt"
STEPS_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Run:
    """One training and test of one task. `folder` is made by it and holds `result.json` when it is done."""

    task: str
    folder: str
    seed: int
    fold: int | None
    upstream: str
    ckpt: str | None
    content: str | None
    data: str
    note: str
    upstream_settings: dict[str, Any] | None
    statistics: str | None
    config: dict[str, Any]
    device: str
    disk: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Where the upstream keeps features: part of its settings, but not of what the result depends on."""

    @property
    def name(self) -> str:
        return f"{self.task} seed {self.seed}" + (f" fold {self.fold}" if self.fold else "")

    def settings(self) -> dict[str, Any]:
        aside = ("folder", "device", "disk")
        return {key: value for key, value in dataclasses.asdict(self).items() if key not in aside}


def finished(run: Run) -> bool:
    """Whether the run's folder holds a result of exactly these settings."""
    return read_json(Path(run.folder) / "result.json", {}).get("settings") == run.settings()


def execute(run: Run) -> None:
    """Train and test one run, going on where an earlier attempt with the same settings was interrupted."""
    folder = Path(run.folder)
    _clear_foreign(run)
    (folder / FAILURE).unlink(missing_ok=True)
    started, cpu_started = time.monotonic(), time.process_time()
    write_json(folder / "settings.json", run.settings())
    (folder / "task.yaml").write_text(yaml.safe_dump(run.config, sort_keys=False), encoding="utf-8")
    options = ["-u", run.upstream, "-d", TASKS.get(run.task).module, "--device", run.device, "--seed", str(run.seed),
               "-c", str(folder / "task.yaml")]
    if run.ckpt is not None:
        options += ["-k", run.ckpt]
    if run.upstream_settings is not None:
        write_json(folder / "upstream.json", _with_statistics(run) | run.disk)
        options += ["-g", str(folder / "upstream.json")]
    found = _best_layer(run, options) if TASKS.get(run.task).by_layer else _train_and_test(run, options)
    write_json(folder / "result.json", {
        "task": run.task, "seed": run.seed, "fold": run.fold, **found,
        "seconds": round(time.monotonic() - started, 1), "cpu_seconds": round(time.process_time() - cpu_started, 1),
        "settings": run.settings()})
    LOG.info("%s: %s, in %s", run.name, ", ".join(f"{column} {value:.2f}" for column, value in found["scores"].items()),
             duration(time.monotonic() - started))


def _train_and_test(run: Run, options: list[str]) -> dict[str, Any]:
    """`scores` per cent by column, `dev`, `best_step`, `lr`, `layer_weights` of a head that is trained."""
    folder, task = Path(run.folder), TASKS.get(run.task)
    options = [*options, "-p", str(folder)]
    LOG.info("%s: training %s steps, log in %s", run.name, run.config["runner"]["total_steps"], folder / "train.log")
    _logged(folder / "train.log", ["-m", "train", "-a", *options])
    best = folder / task.best  # s3prl keeps none when the dev accuracy stays 0
    chosen = [best] if best.is_file() else _kept_states(folder)[0 if task.every_state else -1:]
    tested = {path: _scores(run, folder, _logged(
        folder / "test.log", ["-m", "evaluate", "-t", task.split, "-e", str(path), *options])) for path in chosen}
    column = task.measures[0].column
    best = min(tested, key=lambda path: tested[path][column])
    state = torch.load(best, map_location="cpu", weights_only=True)
    for leftover in set(folder.glob("states-*.ckpt")) - {best}:
        leftover.unlink()
    dev = tested[best][column] if task.every_state else float(state["Downstream"]["best_score"])
    return {"scores": tested[best], "dev": dev, "best_step": state["Step"], "lr": run.config["optimizer"]["lr"],
            "layer_weights": _layer_weights(state)}


def _best_layer(run: Run, options: list[str]) -> dict[str, Any]:
    """The scores of the layer that is best on the dev part, of a task that trains nothing."""
    column = TASKS.get(run.task).measures[0].column
    dev = [_score_layer(run, options, layer, "dev")[column] for layer in range(_layer_count(run))]
    best = max(range(len(dev)), key=dev.__getitem__)
    return {"scores": _score_layer(run, options, best, "test"), "dev": dev[best], "best_layer": best,
            "dev_by_layer": dev, "layer_weights": []}


def _layer_count(run: Run) -> int:
    register()
    from s3prl import hub

    settings = None if run.upstream_settings is None else str(Path(run.folder) / "upstream.json")
    model = getattr(hub, run.upstream)(ckpt=run.ckpt, model_config=settings, refresh=False).to(run.device).eval()
    with torch.no_grad():
        return len(model([torch.zeros(16000, device=run.device)])["hidden_states"])


def _score_layer(run: Run, options: list[str], layer: int, part: str) -> dict[str, float]:
    folder = Path(run.folder) / f"layer{layer}_{part}"
    kept = folder / "scores.json"
    if not kept.is_file():
        folder.mkdir(exist_ok=True)
        LOG.info("%s: layer %d, %s part", run.name, layer, part)
        printed = _logged(folder / "test.log",
                          ["-m", "evaluate", "-t", part, "-l", str(layer), "-p", str(folder), *options])
        write_json(kept, _scores(run, folder, printed))
    return read_json(kept)


def _scores(run: Run, folder: Path, printed: str) -> dict[str, float]:
    """The task's measures by column, per cent. Raises `UserError` where s3prl did not print one."""
    task = TASKS.get(run.task)
    if task.score is not None:
        with errors_at(f"SUPERB {task.title}"):
            return task.score(folder, run.config, printed)
    found = {}
    for measure in task.measures:
        lines = re.findall(f"^{measure.pattern}$", printed, re.MULTILINE)
        if not lines:
            raise UserError(f"{folder / 'test.log'}: s3prl printed no line '{measure.pattern}'")
        found[measure.column] = measure.scale * float(lines[-1])
    return found


def _with_statistics(run: Run) -> dict[str, Any]:
    """The upstream's settings with the task's log-mel statistics, found now if nobody has found them before."""
    settings = dict(run.upstream_settings or {})
    if run.statistics is not None:
        settings.update(task_statistics(Path(run.statistics), TASKS.get(run.task), run.config, run.device))
    return settings


def _clear_foreign(run: Run) -> None:
    """Make the folder ready: kept where this run was interrupted, moved aside with other settings, else emptied."""
    folder = Path(run.folder)
    begun = folder / "settings.json"
    if begun.is_file():
        if read_json(begun) != run.settings():
            aside = next(path for number in itertools.count(1) if not (path := Path(f"{folder}.{number}")).exists())
            LOG.info("%s: %s is of other settings or data, moved to %s", run.name, folder, aside)
            folder.rename(aside)
        elif all(map(_readable, folder.glob("*.ckpt"))):
            return
    if folder.is_dir() and any(folder.iterdir()):
        LOG.info("%s: broken off while saving, starting it again", run.name)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _readable(path: Path) -> bool:
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError):
        return False
    return True


def _kept_states(folder: Path) -> list[Path]:
    states = sorted(folder.glob("states-*.ckpt"), key=lambda path: int(path.stem.split("-")[1]))
    if not states:
        raise UserError(f"{folder}: no checkpoint; runner.save_step must not exceed runner.total_steps")
    return states


def _layer_weights(state: dict[str, Any]) -> list[float]:
    """The learnt share of each layer: softmax of the featurizer's weights. Empty for an upstream of one layer."""
    weights = state["Featurizer"].get("weights")
    return [] if weights is None else [round(share, 4) for share in weights.softmax(0).tolist()]


def _logged(path: Path, argv: list[str]) -> str:
    """Run s3prl with what it prints going to a file; gives back what this call printed."""
    with open(path, "a", encoding="utf-8") as stream:
        start = stream.tell()
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(_Steps(stream)):
            run_s3prl(argv)
    with open(path, encoding="utf-8") as stream:
        stream.seek(start)
        return stream.read()


class _Steps(io.TextIOBase):
    """A stream's front that passes everything on, and logs the steps that s3prl's bar of the training shows."""

    def __init__(self, stream: IO[str]):
        self.stream, self.last = stream, time.monotonic()

    def write(self, text: str) -> int:
        step = re.search(r"overall:.* (\d+/\d+) \[\S+<(\S+), +([\d.]+)(it/s|s/it)", text)
        if step and time.monotonic() - self.last >= STEPS_SECONDS:
            self.last = time.monotonic()
            rate = float(step[3]) if step[4] == "it/s" else 1 / max(float(step[3]), 1e-9)
            LOG.info("steps: %s, %.2g/s, ETA %s", step[1], rate, step[2])
        return self.stream.write(text)

    def flush(self) -> None:
        self.stream.flush()


def main(job: str) -> int:
    """Do all runs of the job file; a failing one does not stop the others. Gives the number of failed runs."""
    described = read_json(job)
    torch.set_num_threads(described["threads"])
    s3prl_compat.before_s3prl()  # the checkpoints of an earlier attempt must be readable before s3prl is imported
    failures = 0
    for fields in described["runs"]:
        run = Run(**fields)
        if finished(run):
            continue
        try:
            execute(run)
        except UserError as error:
            failures += 1
            LOG.error("%s: %s", run.name, error)
            write_text(Path(run.folder) / FAILURE, str(error))
        except Exception as error:  # s3prl raises anything at all
            failures += 1
            LOG.exception("%s: failed, see the logs in %s", run.name, run.folder)
            write_text(Path(run.folder) / FAILURE, f"{type(error).__name__}: {error}")
    return failures


if __name__ == "__main__":
    end_with_parent(int(sys.argv[2]))
    setup_log()
    raise SystemExit(min(main(sys.argv[1]), 100))
