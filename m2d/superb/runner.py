"""The SUPERB stage: every task, seed, learning rate and fold of one model, in a process per task, each run once."""

import dataclasses
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from m2d.common.errors import UserError
from m2d.common.files import write_json
from m2d.common.progress import progress
from m2d.superb.config import Model, SuperbConfig, resolve_model
from m2d.superb.fingerprint import corpus_content, model_content
from m2d.superb.task import TASKS, Task, data_key, ordered, read_settings
from m2d.superb.worker import FAILURE, Run, finished

LOG = logging.getLogger(__name__)
POLL_SECONDS = 0.3


def plan(config: SuperbConfig) -> list[Run]:
    """All runs, paths and settings resolved. `UserError` for whatever a run would fail on: model, corpora ..."""
    model, names = resolve_model(config.model), ordered(config.tasks)
    if config.job is not None:
        if not 1 <= config.job <= len(names):
            raise UserError(f"job={config.job}: the {len(names)} tasks are counted from 1")
        names = names[config.job - 1:config.job]
    content = model_content(model.ckpt)
    return [run for name in names for run in _plan_task(config, model, content, name)]


def _plan_task(config: SuperbConfig, model: Model, content: str | None, name: str) -> list[Run]:
    exp = Path(config.exp).resolve()
    task = TASKS.get(name)
    settings = read_settings(Path(config.conf), config.overlays, name)
    shared = Path(config.statistics).resolve() if config.statistics else exp.parent / "statistics"
    paths = task.prepared(config.corpora, exp / "tables" / name, settings)
    data = corpus_content(paths, shared / f"{name}-files.json")
    given, note = settings.pop("statistics"), settings.pop("note", "")
    statistics = shared / f"{name}-{data}-{data_key(settings)}.json"
    disk = {"disk": str(exp / "features" / name), "disk_gib": config.features_gib, "hearings": 1 + task.cut_at_random}
    runs = []
    for seed, lr, fold in itertools.product(config.seeds, _rates(config, task, name), task.folds):
        adapted = json.loads(json.dumps(settings))
        folder = exp / name / f"seed{seed}"
        if lr is not None:
            adapted["optimizer"]["lr"] = lr
            if config.sweep:
                folder = folder / f"lr{lr:g}"
        if fold is not None:
            adapted["downstream_expert"]["datarc"]["test_fold"] = f"fold{fold}"
            folder = folder / f"fold{fold}"
        upstream = model.settings(seed, config.cache_gib)
        if model.takes_statistics and upstream is not None and given is not None:
            upstream.update(given)
        runs.append(Run(
            task=name, folder=str(folder), seed=seed, fold=fold, upstream=model.upstream, ckpt=model.ckpt,
            content=content, data=data, note=note, upstream_settings=upstream,
            statistics=str(statistics) if model.takes_statistics and given is None else None,
            config=adapted, device=config.device, disk=disk if model.ours else {}))
    return runs


def _rates(config: SuperbConfig, task: Task, name: str) -> list[float | None]:
    """The learning rates to train with; None is that of the settings."""
    if task.by_layer:
        return [None]
    return list(config.sweep) or [getattr(config.lr, name)]


def run_all(config: SuperbConfig) -> list[Run]:
    """Do what is not done, `config.jobs` tasks at a time; all runs. `UserError` when one failed, after the others."""
    runs = plan(config)
    waiting = [run for run in runs if not finished(run)]
    LOG.info("%d runs, %d of them done before", len(runs), len(runs) - len(waiting))
    if waiting:
        # a scheduler's SIGTERM must unwind, so that the task processes are ended too
        plain = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            for _ in progress(_completions(config, waiting), "SUPERB runs", total=len(waiting)):
                pass
        finally:
            signal.signal(signal.SIGTERM, plain)
    failed = [run for run in waiting if not finished(run)]
    if failed:
        reason = Path(failed[0].folder) / FAILURE
        text = reason.read_text(encoding="utf-8").strip() if reason.is_file() else "its process ended"
        raise UserError(f"{len(failed)} of {len(runs)} SUPERB runs failed, the first in {failed[0].folder}: {text}")
    return runs


def _completions(config: SuperbConfig, waiting: list[Run]) -> Iterator[Run]:
    """Yield each run when it is done, or when its process has ended without it."""
    queue = [list(group) for _, group in itertools.groupby(waiting, key=lambda run: run.task)]
    queue.sort(key=len, reverse=True)  # ER with its folds first, so that it does not end last and alone
    active: list[tuple[subprocess.Popen, list[Run]]] = []
    try:
        while queue or active:
            while queue and len(active) < config.jobs:
                group = queue.pop(0)
                active.append((_start(config, group), group))
            time.sleep(POLL_SECONDS)
            for process, group in list(active):
                ended = process.poll() is not None
                for run in [run for run in group if ended or finished(run)]:
                    group.remove(run)
                    yield run
                if ended:
                    active.remove((process, group))
    finally:
        for process, _ in active:
            process.terminate()
            process.wait()


def _start(config: SuperbConfig, group: list[Run]) -> subprocess.Popen:
    job = Path(config.exp).resolve() / "jobs" / f"{group[0].task}.json"
    write_json(job, {"threads": config.threads, "runs": [dataclasses.asdict(run) for run in group]})
    environment = {**os.environ, "OMP_NUM_THREADS": str(config.threads), "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen([sys.executable, "-m", "m2d.superb.worker", str(job), str(os.getpid())], env=environment)
