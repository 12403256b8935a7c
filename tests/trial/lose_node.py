#!/usr/bin/env python3
"""A large corpus through stages 0 to 4 as Slurm jobs, with a node lost in the middle of each: the undisturbed results.

usage: python3 tests/trial/lose_node.py FOLDER [--files N] [--jobs N]

FOLDER gets a tree of N short recordings (links to fifty) and two copies of the recipe. One runs on this machine; the
other's jobs run in a private Slurm of two nodes. When the log-mel array, the teacher's array and pre-training begin
to write, a node that works on them is killed and restored. Needs root.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.egs.conftest import Recipe, make_tiny_teacher  # noqa: E402
from tests.trial.kill import MODEL, weights_digest  # noqa: E402
from tests.utils.slurm.conftest import Slurm, start, three_ports  # noqa: E402

RECORDINGS = 50
MOMENTS = {  # job: the files that tell that it has begun to write
    "logmel_train": "dump/*/train/logmel/.*.tmp", "teacher": "dump/*/train/teacher_*/.*.tmp",
    "run": "exp/tiny/checkpoints/step_*.pt"}


def make_tree(root: Path, files: int) -> None:
    """`files` recordings of 0.5 to 1.5 s, a hundred to a folder."""
    rng = np.random.default_rng(0)
    for number in range(files):
        path = root / f"{number // 100:05d}" / f"{number:07d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < RECORDINGS:
            soundfile.write(path, rng.normal(size=rng.integers(8000, 24000)) / 10, 16000)
        else:
            os.link(root / "00000" / f"{number % RECORDINGS:07d}.flac", path)


def make_recipe(folder: Path, name: str, corpus: Path, environment: dict[str, str]) -> Recipe:
    """The recipe whose jobs fit the nodes of the private Slurm."""
    corpora = {"SPEECH": str(corpus / "speech"), "NOISE": str(corpus / "noise"), "MINI_CORPUS": "/nowhere"}
    recipe = Recipe("librispeech_m2ds", folder / name, {**corpora, **environment})
    jobs = "cpu_job=(--num-threads 1 --mem 1G) gpu_job=(--num-threads 1 --mem 1G) train_job=(--num-threads 1 --mem 2G)"
    with open(recipe.directory / "cmd.sh", "a", encoding="utf-8") as stream:
        stream.write(f"{jobs}\n")
    return recipe


def call(recipe: Recipe, teacher: Path, jobs: int, log: Path) -> subprocess.Popen:
    """run.sh for stages 0 to 4."""
    words = ["--stop_stage", "4", "--tag", "tiny", "--nj", str(jobs), "--held_out", "50", "--tasks", "", "--teacher",
             str(teacher), "--config", "conf/pretrain_mini_m2ds.yaml", "--set",
             f"{MODEL} model.teacher_width=16 optim.batch_size=64 optim.epochs=2"]
    stream = open(log, "wb")  # noqa: SIM115 (the process has it)
    return subprocess.Popen([str(recipe.directory / "run.sh"), *words], env=recipe.environment, stdout=stream,
                            stderr=stream, stdin=subprocess.DEVNULL)


def lose_nodes(slurm: Slurm, recipe: Recipe, running: subprocess.Popen) -> list[str]:
    """Lose a node at each of `MOMENTS`; the jobs that were hit."""
    hit = []
    for job, files in MOMENTS.items():
        while running.poll() is None and not any(recipe.directory.glob(files)):
            time.sleep(0.02)
        nodes = slurm("squeue -h -t RUNNING -o %N").split()
        if nodes:
            slurm.lose(nodes[0])
            slurm.restore()
            hit.append(f"{job} on {nodes[0]}")
    return hit


def identity(recipe: Recipe) -> dict[str, object]:
    """What must be equal: counts and content of all stores, weights and losses."""
    stores = {str(path.parent.relative_to(recipe.directory)): json.loads(path.read_text(encoding="utf-8"))
              for path in sorted(recipe.directory.glob("dump/*/*/*/meta.json"))}
    return {**{name: [meta[key] for key in ("utterances", "frames", "content")] for name, meta in stores.items()},
            "weights": weights_digest(recipe.directory)}


def main() -> None:
    """Print what was hit, how long it took and whether the results are equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--jobs", type=int, default=4)
    options = parser.parse_args()
    folder = options.folder.resolve()
    make_tree(folder / "corpus/speech", options.files)
    make_tree(folder / "corpus/noise", RECORDINGS)
    teacher = make_tiny_teacher(folder / "teacher")
    place = Path(tempfile.mkdtemp(prefix="slurm."))  # its socket's path has to be short
    start(place, three_ports())
    try:
        slurm = Slurm(place, dict(os.environ))
        ends = {}
        in_slurm = {"cmd_backend": "slurm", "SLURM_CONF": slurm.env["SLURM_CONF"]}
        for name, more in (("undisturbed", {}), ("lost", in_slurm)):
            recipe = make_recipe(folder, name, folder / "corpus", more)
            begun = time.monotonic()
            running = call(recipe, teacher, options.jobs, folder / f"{name}.log")
            hit = lose_nodes(slurm, recipe, running) if more else []
            if running.wait():
                sys.exit(f"{name}: run.sh ends with {running.returncode}: see {folder}/{name}.log")
            ends[name] = identity(recipe)
            print(f"{name}: {time.monotonic() - begun:.0f} s; lost: {', '.join(hit) or 'nothing'}", flush=True)
    finally:
        subprocess.run([ROOT / "tests/utils/slurm/stop_slurm.sh", place], check=True)
    for key, value in ends["undisturbed"].items():
        print(f"{key}: {value} {'equal' if ends['lost'].get(key) == value else ends['lost'].get(key)}")


if __name__ == "__main__":
    main()
