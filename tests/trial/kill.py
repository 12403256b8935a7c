#!/usr/bin/env python3
"""kill -9 in every stage of the recipes, on tiny settings: nothing is left behind, and the results stay the same.

usage: python3 tests/trial/kill.py FOLDER [--times N] [--stages STAGE...]

FOLDER keeps the mini corpus and the finished stages for the next call. Each stage is run undisturbed, its outputs are
put aside, and it is started again and again and killed N times at random moments, by turns in three ways: `process`
(one of its Python processes: a task, its data loader's workers, the launcher), `group` (the process group of run.sh),
`script` (run.sh alone). A stage that ends all the same begins anew. The last start is not disturbed. A table tells how
many kills there were and what differs.
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
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.egs.conftest import Recipe, make_tiny_teacher  # noqa: E402

WAYS = ("process", "group", "script")
VICTIMS = (" -m m2d.", "multiprocessing", "utils/task.py", "utils/mark.py")  # in command lines, for the way `process`
PATIENCE = 60
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


TIMES = ("seconds", "finished", "depends", "environment", "times", "machine", "versions", "date", "commit")
STAGES = {
    "data": Stage("librispeech_m2ds", 0, ("data",), files_digest("data/*/*/[!.]*", without=TIMES)),
    "log-mel": Stage("librispeech_m2ds", 1, ("dump/*/train/logmel*",),
                     files_digest("dump/*/train/logmel/index", "dump/*/train/logmel/*.json",
                                  "dump/*/train/logmel/*.npy", without=TIMES)),
    "teacher": Stage("librispeech_m2ds", 2, ("dump/*/train/teacher_*",),
                     files_digest("dump/*/train/teacher_*/index", "dump/*/train/teacher_*/meta.json",
                                  "dump/*/train/teacher_*/*.npy", without=TIMES)),
    "pre-training": Stage("librispeech_m2ds", 3, ("exp/tiny",), weights_digest),
    "export": Stage("librispeech_m2ds", 4, ("exp/tiny/model", "exp/tiny/.model.done"),
                    files_digest("exp/tiny/model/*.safetensors")),
    "SUPERB": Stage("librispeech_m2ds", 5, ("exp/tiny/superb_mini",),
                    files_digest("exp/tiny/superb_mini/results.json", without=TIMES)),
    "linear": Stage("audioset_m2d", 4, ("exp/*/linear", "data/*/tasks/*/stats.json"),
                    files_digest("exp/*/linear/*/result.json", without=TIMES)),
    "fine-tuning": Stage("audioset_m2d", 5, ("exp/*/finetune", "data/*/tasks/*/logmel*"),
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
        speech, sounds = (recipe.directory for recipe in self.recipes.values())
        sounds.with_name(speech.name).symlink_to(speech)  # its db.sh

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
                 "--tag", "tiny", "--scale", "0.1", "--nj", "2" if stage.number == 1 else "1"]
        if stage.recipe == "librispeech_m2ds":
            words += ["--config", "conf/pretrain_mini_m2ds.yaml", "--set",
                      f"{MODEL} model.teacher_width=16 optim.epochs=8", "--tasks", "ks", "--teacher",
                      str(self.folder / "teacher"), "--parts", "train-clean-100", "--superb_overlays",
                      "conf/superb_tiny.yaml"]
            own = {"LIBRISPEECH": str(self.corpus / "LibriSpeech"), "NOISE": str(self.corpus / "AudioSet")}
        else:
            words += ["--configs", "conf/pretrain_mini_m2d.yaml", "--models", "exp/m2d_tiny_mini/model", "--set",
                      f"{MODEL} optim.epochs=2", "--linear_tasks", "esc50", "--tune_tasks", "esc50", "--linear_config",
                      "conf/linear_tiny.yaml", "--tuning", "tiny"]
            own = {}
        log = open(self.folder / "log", "ab")  # noqa: SIM115 (the process has it)
        return subprocess.Popen([str(recipe.directory / "run.sh"), *words], env={**recipe.environment, **own},
                                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)

    def make_corpus(self) -> None:
        """The mini corpus, which the recipes then find."""
        subprocess.run([sys.executable, "-m", "mini_corpus", f"out={self.corpus}", "scale=0.1"], check=True,
                       env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tools'}"})

    def leftovers(self) -> set[Path]:
        """Temporary files and shared memory that there are now."""
        return {*self.tmp.iterdir(), *Path("/dev/shm").iterdir()}

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


def remove(folder: Path, patterns: tuple[str, ...]) -> None:
    """Remove what matches."""
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def kill(trial: Trial, call: subprocess.Popen, way: str, rng: random.Random) -> bool:
    """Kill; whether there was something to kill."""
    while call.poll() is None:
        if way == "script":
            call.kill()
        elif way == "group":
            os.killpg(call.pid, signal.SIGKILL)
        else:
            victims = [pid for pid, line in trial.processes() if any(part in line for part in VICTIMS)]
            if not victims:
                time.sleep(0.05)
                continue
            with suppress(ProcessLookupError):
                os.kill(rng.choice(victims), signal.SIGKILL)
        return True
    return False


def disturb(trial: Trial, stage: Stage, times: int, seconds: float) -> tuple[Counter[str], list[str]]:
    """Kill the stage so many times; the kills of each way, and what was wrong after them and after the last run."""
    rng = random.Random(stage.number)
    folder, wrong, kills, starts = trial.recipes[stage.recipe].directory, [], Counter(), 0
    while kills.total() < times and starts < 5 * times:
        starts += 1
        call, way = trial.start(stage), WAYS[starts % len(WAYS)]
        time.sleep(rng.uniform(0, seconds))
        kills[way] += kill(trial, call, way, rng)
        if call.wait() == 0:  # it was too late, or a process that can be done without
            remove(folder, stage.outputs)
        end = time.monotonic() + PATIENCE
        while (left := list(trial.processes())) and time.monotonic() < end:
            time.sleep(0.2)
        wrong += [f"lives on after {way}: {line[:100]}" for _, line in left]
        for pid, _ in left:
            os.kill(pid, signal.SIGKILL)
    if status := trial.start(stage).wait():
        wrong.append(f"status {status}")
    wrong += [f"left: {path}" for pattern in (".*.tmp", "*.begun") for path in folder.rglob(pattern)]
    wrong += [f"moved aside: {path}" for path in folder.glob("exp/old/*")]
    return kills, wrong


def try_stage(trial: Trial, name: str, times: int) -> str:
    """The stage's row of the table."""
    stage = STAGES[name]
    folder = trial.recipes[stage.recipe].directory
    aside = trial.folder / "aside"
    shutil.rmtree(aside, ignore_errors=True)
    done_before = any(path for pattern in stage.outputs for path in folder.glob(pattern))
    for first in (None,) if done_before else (0, None):  # with the stages before it; alone
        remove(folder, stage.outputs)
        start = time.monotonic()
        if trial.start(stage, first).wait():
            sys.exit(f"stage {name} fails undisturbed: see {trial.folder / 'log'}")
    seconds, expected = time.monotonic() - start, stage.digest(folder)
    put_aside(folder, stage.outputs, aside)
    before = trial.leftovers()
    kills, wrong = disturb(trial, stage, times, seconds)
    if (found := stage.digest(folder)) != expected:
        wrong.append(f"{found} instead of {expected}")
    wrong += [f"left: {path}" for path in sorted(trial.leftovers() - before)]
    remove(folder, stage.outputs)
    put_aside(aside, stage.outputs, folder)
    counts = ", ".join(f"{way} {kills[way]}" for way in WAYS)
    return f"| {name} | {kills.total()} ({counts}) | {'; '.join(sorted(set(wrong))) or 'equal, nothing left'} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES))
    options = parser.parse_args()
    trial = Trial(options.folder.resolve())
    trial.make_corpus()
    print("| stage | kills | then |\n| --- | --- | --- |", flush=True)
    for name in options.stages:
        print(try_stage(trial, name, options.times), flush=True)


if __name__ == "__main__":
    main()
