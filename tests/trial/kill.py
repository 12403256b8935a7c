#!/usr/bin/env python3
"""kill -9 in every stage of the recipes, on tiny settings: nothing is left behind, and the results stay the same.

usage: python3 tests/trial/kill.py FOLDER [--times N] [--stages STAGE...]

FOLDER keeps the mini corpus and the finished stages for the next call. Each stage is run undisturbed, its outputs are
put aside, and it is started again and again and killed N times at random moments, in three ways: `process` (one of the
working Python processes), `group` (the process group of run.sh), `script` (run.sh alone). A stage that ends before the
kill begins anew. The last start is not disturbed. A table tells how many kills there were and what differs.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.egs.conftest import Recipe, make_tiny_teacher  # noqa: E402

KINDS = ("process", "group", "script")
PATIENCE = 30
"""Seconds within which all processes of a killed call must be gone."""
MODEL = ("model.width=16 model.depth=2 model.heads=2 model.predictor_width=16 model.predictor_depth=1 "
         "model.predictor_heads=2 optim.batch_size=8 optim.warmup_epochs=0 data.workers=1 run.checkpoint_minutes=0.05")
SUPERB = "ks: {runner: {total_steps: 20, log_step: 10, eval_step: 10, save_step: 10}}\n"


@dataclass
class Stage:
    """A stage of a recipe: its number, the folders and marks it makes, and the digest of what counts in them."""

    recipe: str
    number: int
    outputs: tuple[str, ...]
    digest: Callable[[Path], str]
    options: tuple[str, ...] = ()


def files_digest(*patterns: str, without: tuple[str, ...] = ()) -> Callable[[Path], str]:
    """Digest of the files that match; of JSON, without the keys that tell of time and place."""
    def digest(folder: Path) -> str:
        whole = hashlib.sha256()
        paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
        for path in paths:
            content = path.read_bytes()
            if path.suffix == ".json":
                content = json.dumps(_without(json.loads(content), without), sort_keys=True).encode()
            whole.update(str(path.relative_to(folder)).encode() + hashlib.sha256(content).digest())
        return whole.hexdigest()[:12] if paths else "nothing"
    return digest


def _without(value: object, keys: tuple[str, ...]) -> object:
    if isinstance(value, dict):
        return {key: _without(item, keys) for key, item in value.items() if key not in keys}
    return [_without(item, keys) for item in value] if isinstance(value, list) else value


def weights_digest(folder: Path) -> str:
    """Digest of the newest checkpoint's weights and of the losses of all steps."""
    import torch

    checkpoint = sorted(folder.glob("exp/tiny/checkpoints/step_*.pt"))[-1]
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")["model"]
    whole = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        whole.update(name.encode() + tensor.numpy().tobytes())
    for line in (folder / "exp/tiny/metrics.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        whole.update(f"{entry.get('step')} {entry.get('loss')} {entry.get('valid_loss')}".encode())
    return whole.hexdigest()[:12]


TIMES = ("seconds", "finished", "depends", "environment", "times", "machine", "versions")
STAGES = {
    "data": Stage("librispeech_m2ds", 0, ("data",), files_digest("data/*/*/[!.]*", without=TIMES)),
    "log-mel": Stage("librispeech_m2ds", 1, ("dump/*/*/logmel", "dump/*/*/logmel.done"),
                     files_digest("dump/*/*/logmel/index", "dump/*/*/logmel/*.json", "dump/*/*/logmel/*.npy",
                                  without=TIMES)),
    "teacher": Stage("librispeech_m2ds", 2, ("dump/*/*/teacher_*",),
                     files_digest("dump/*/*/teacher_*/index", "dump/*/*/teacher_*/meta.json", without=TIMES)),
    "pre-training": Stage("librispeech_m2ds", 3, ("exp/tiny",), weights_digest),
    "export": Stage("librispeech_m2ds", 4, ("exp/tiny/model", "exp/tiny/.model.done"),
                    files_digest("exp/tiny/model/*.safetensors")),
    "SUPERB": Stage("librispeech_m2ds", 5, ("exp/tiny/superb_mini",),
                    files_digest("exp/tiny/superb_mini/results.json", without=TIMES)),
    "linear": Stage("audioset_m2d", 4, ("exp/*/linear",), files_digest("exp/*/linear/*/result.json", without=TIMES)),
    "fine-tuning": Stage("audioset_m2d", 5, ("exp/*/finetune",),
                         files_digest("exp/*/finetune/*/*/result.json", without=TIMES)),
}


class Trial:
    """The two recipes in FOLDER, with a corpus, a teacher and settings of their own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.tmp = folder / "tmp"
        self.tmp.mkdir(parents=True, exist_ok=True)
        self.corpus = folder / "mini"
        self.mark = f"{time.time_ns()}"  # in the environment of all that a call starts
        environment = {"MINI_CORPUS": str(self.corpus), "TMPDIR": str(self.tmp), "M2D_TRIAL": self.mark}
        if not (folder / "teacher").exists():
            make_tiny_teacher(folder / "teacher")
        self.recipes = {name: self._recipe(name, environment) for name in ("librispeech_m2ds", "audioset_m2d")}

    def _recipe(self, name: str, environment: dict[str, str]) -> Recipe:
        root = self.folder / name
        kept = root / "egs" / name
        held = self.folder / f"{name}.kept"
        if kept.exists():  # the scripts anew, the results as they are
            kept.rename(held)
            shutil.rmtree(root)
        root.mkdir(parents=True)
        recipe = Recipe(name, root, environment)
        for folder in ("data", "dump", "exp"):
            if (held / folder).exists():
                (held / folder).rename(recipe.directory / folder)
        shutil.rmtree(held, ignore_errors=True)
        conf = recipe.directory / "conf"
        (conf / "superb_tiny.yaml").write_text(SUPERB)
        (conf / "linear_tiny.yaml").write_text("linear: {lr: 1e-2, epochs: 5, seeds: [0, 1]}\nworkers: 1\n")
        (conf / "finetune_tiny_esc50.yaml").write_text(
            "tune: {lr: 1e-3, optimizer: adamw, epochs: 2, warmup_epochs: 1, batch_size: 8}\nseeds: [0]\nworkers: 1\n")
        return recipe

    def start(self, stage: Stage, first: int | None = None) -> subprocess.Popen:
        """run.sh for one stage, or for all from `first` to it, in a process group of its own."""
        recipe = self.recipes[stage.recipe]
        words = ["--stage", str(stage.number if first is None else first), "--stop_stage", str(stage.number),
                 "--tag", "tiny", "--scale", "0.1"]
        if stage.recipe == "librispeech_m2ds":
            words += ["--config", "conf/pretrain_mini_m2ds.yaml", "--set",
                      f"{MODEL} model.teacher_width=16 optim.epochs=8", "--tasks", "ks", "--teacher",
                      str(self.folder / "teacher"), "--parts", "train-clean-100", "--superb_overlays",
                      "conf/superb_tiny.yaml"]
            own = {"LIBRISPEECH": str(self.corpus / "LibriSpeech"), "NOISE": str(self.corpus / "AudioSet")}
        else:
            words += ["--configs", "conf/pretrain_mini_m2d.yaml", "--set", f"{MODEL} optim.epochs=2", "--linear_tasks",
                      "esc50", "--tune_tasks", "esc50", "--linear_config", "conf/linear_tiny.yaml", "--tuning", "tiny"]
            own = {}
        log = open(self.folder / "log", "ab")  # noqa: SIM115 (the process has it)
        return subprocess.Popen([str(recipe.directory / "run.sh"), *words], env={**recipe.environment, **own},
                                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)

    def make_corpus(self) -> None:
        """The mini corpus, which the recipes then find."""
        subprocess.run([sys.executable, "-m", "mini_corpus", f"out={self.corpus}", "scale=0.1"], check=True,
                       env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tools'}"})

    def processes(self) -> Iterator[tuple[int, str]]:
        """Number and command line of all living processes that a call started."""
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and f"M2D_TRIAL={self.mark}".encode() in (entry / "environ").read_bytes():
                    yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue


def put_aside(folder: Path, patterns: tuple[str, ...], aside: Path) -> None:
    """Move what matches to `aside`, with its place."""
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        place = aside / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)


def kill(trial: Trial, call: subprocess.Popen, kind: str, rng: random.Random) -> bool:
    """Kill; whether there was something to kill."""
    if call.poll() is not None:
        return False
    if kind == "process":
        while not (working := [pid for pid, line in trial.processes() if " -m m2d." in line]):
            if call.poll() is not None:
                return False
            time.sleep(0.05)
        os.kill(rng.choice(working), signal.SIGKILL)
    elif kind == "group":
        os.killpg(call.pid, signal.SIGKILL)
    else:
        call.kill()
    return True


def disturb(trial: Trial, stage: Stage, kind: str, times: int, seconds: float) -> tuple[int, list[str]]:
    """Kill the stage so many times; the number of kills, and what was wrong after them and after the last run."""
    rng = random.Random(f"{stage.number} {kind}")
    folder, wrong, kills, starts = trial.recipes[stage.recipe].directory, [], 0, 0
    while kills < times and starts < 5 * times:
        starts += 1
        call = trial.start(stage)
        time.sleep(rng.uniform(0, seconds))
        killed = kill(trial, call, kind, rng)
        kills += killed
        if killed:
            try:
                call.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                wrong.append("run.sh lives on")
        else:
            call.wait()
            for pattern in stage.outputs:
                for path in folder.glob(pattern):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        end = time.monotonic() + PATIENCE
        while (left := list(trial.processes())) and time.monotonic() < end:
            time.sleep(0.2)
        wrong += [f"lives on: {line[:100]}" for _, line in left]
        for pid, _ in left:
            os.kill(pid, signal.SIGKILL)
    if status := trial.start(stage).wait():
        wrong.append(f"status {status}")
    wrong += [f"left: {path}" for path in folder.rglob(".*.tmp")]
    wrong += [f"moved aside: {path}" for path in folder.glob("exp/old/*")]
    return kills, wrong


def try_stage(trial: Trial, name: str, times: int) -> Iterator[str]:
    """Rows of the table for one stage."""
    stage = STAGES[name]
    folder = trial.recipes[stage.recipe].directory
    aside = trial.folder / "aside"
    for first in (0, None):
        shutil.rmtree(aside, ignore_errors=True)
        put_aside(folder, stage.outputs, aside)
        start = time.monotonic()
        if trial.start(stage, first).wait():
            sys.exit(f"stage {name} fails undisturbed: see {trial.folder / 'log'}")
    shutil.rmtree(aside, ignore_errors=True)
    seconds, expected = time.monotonic() - start, stage.digest(folder)
    for kind in KINDS:
        put_aside(folder, stage.outputs, aside)
        kills, wrong = disturb(trial, stage, kind, times, seconds)
        found = stage.digest(folder)
        if found != expected:
            wrong.append(f"{found} instead of {expected}")
        for pattern in stage.outputs:
            for path in folder.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        put_aside(aside, stage.outputs, folder)
        shutil.rmtree(aside)
        yield f"| {name} | {kind} | {kills} | {'; '.join(sorted(set(wrong))) or 'equal, nothing left'} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES))
    options = parser.parse_args()
    trial = Trial(options.folder.resolve())
    trial.make_corpus()
    shared = set(os.listdir("/dev/shm"))
    print("| stage | killed | kills | then |\n| --- | --- | --- | --- |", flush=True)
    for name in options.stages:
        for row in try_stage(trial, name, options.times):
            print(row, flush=True)
    print(f"temporary files left in TMPDIR: {sorted(path.name for path in trial.tmp.iterdir())}")
    print(f"new in /dev/shm: {sorted(set(os.listdir('/dev/shm')) - shared)}")


if __name__ == "__main__":
    main()
