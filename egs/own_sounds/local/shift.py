#!/usr/bin/env python3
"""Why few steps of further pre-training help or harm: from speech (the mini M2D-S) to the mini corpus's ESC-50.

usage: . ./path.sh; local/shift.py run RUN [VARIANT]...    RUN: a finished ../librispeech_m2ds/exp/m2ds_mini
       . ./path.sh; local/shift.py table                   results/shift.json and the README's table, of what has run

A run is 100 steps of conf/further_cpu.yaml with one change: half a minute of one core. The encoder is probed at first
and every 50 steps: 120 clips of two folds train, 120 of two others are measured, thus about 8 points either way for one
number; all runs are measured on the same clips. Runs are in exp/shift; one that is there is not run again.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path

from m2d.common import markdown
from m2d.common.files import write_json, write_text

HERE = Path(__file__).resolve().parents[1]
OUT, DATA, KEPT = HERE / "exp/shift", HERE / "data/shift", HERE / "results/shift.json"
CORPUS = HERE.parent / "mini_corpus"
PARTS = ["train", "train", "valid", "valid", "test"]  # of the five folds
MARK = "<!-- made by local/shift.py -->\n"
BASE = ["optim.base_lr=4e-3", "optim.epochs=10", "optim.warmup_epochs=2", "run.seed=0", "run.device=cpu",
        "run.probe_epochs=5"]
VARIANTS = {
    "as_it_was": [],
    "rate_quarter": ["optim.base_lr=1e-3"],
    "rate_sixteenth": ["optim.base_lr=2.5e-4"],
    "own_predictor": ["run.init_from={run}/checkpoints/step_000002100.pt", "data.teacher={run}/model",
                      "model.predictor_width=96"],
    "frozen": ["optim.frozen_epochs=4"],
    "frozen_sixteenth": ["optim.frozen_epochs=2", "optim.base_lr=2.5e-4"],
    "encoder_slower": ["optim.layer_decay=0.25"],
    "distillation_alone": ["model.lambda_m2d=0"],
    "m2d_alone": ["data.kind=audio", "model.lambda_off=0"],
}


def m2d(name: str, *words: str) -> str:
    """Run a command of the package; what it prints."""
    return subprocess.run([sys.executable, "-m", f"m2d.bin.{name}", *words], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def make_corpus() -> None:
    """ESC-50 of the mini corpus."""
    subprocess.run([sys.executable, "-m", "mini_corpus", f"out={CORPUS}", "parts=[esc50]", "jobs=1"], check=True)


def prepare() -> None:
    """A task with two folds to train on and two to measure, and the log-mels of all clips."""
    make_corpus()
    DATA.mkdir(parents=True, exist_ok=True)
    with open(CORPUS / "ESC-50/meta/esc50.csv", encoding="utf-8") as stream:
        rows = [(row["filename"], row["category"], PARTS[int(row["fold"]) - 1])
                for row in csv.DictReader(stream)]
    write_text(DATA / "sounds.csv", "\n".join(",".join(row) for row in [("file_name", "label", "split"), *rows]) + "\n")
    audio = CORPUS / "ESC-50/audio"
    m2d("prepare_task", "task=table", "name=shift", f"table={DATA}/sounds.csv", f"root={audio}", f"out={DATA}/task")
    m2d("prepare_data", "corpus=folder", f"root={audio}", f"out={DATA}/all")
    m2d("extract_logmel", f"data={DATA}/all", f"out={DATA}/logmel")
    m2d("merge_features", f"dir={DATA}/logmel")


def run_all(run: Path, names: list[str]) -> None:
    """Train the variants that have not been."""
    prepare()
    architecture = m2d("info", f"{run}/model", "show=settings", "seconds=5").split()
    for name in names or VARIANTS:
        changes = [change.format(run=run) for change in VARIANTS[name]]
        m2d("pretrain", "--config", str(HERE / "conf/further_cpu.yaml"), f"data.speech={DATA}/logmel",
            f"data.noise={DATA}/logmel", f"run.init_from={run}/model", f"run.exp={OUT}/{name}",
            f"run.probe_task={DATA}/task", *BASE, *architecture, *changes)


def collect() -> list[dict[str, object]]:
    """Steps and scores in % of the runs that are there."""
    rows = []
    for name, changes in VARIANTS.items():
        if (path := OUT / name / "metrics.jsonl").is_file():
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            probes = [line for line in lines if "probe_knn" in line]
            spread = [line["latent_std"] for line in lines if "latent_std" in line]
            rows.append({"variant": name, "changes": changes, "steps": [line["step"] for line in probes],
                         **{kind: [round(line[f"probe_{kind}"], 1) for line in probes] for kind in ("knn", "linear")},
                         "latent_std": [round(spread[0], 2), round(min(spread), 2)]})
    return rows


def table(rows: list[dict]) -> str:
    """A row for each variant: scores at each measured step, the latents' deviation at first and at its lowest."""
    steps = max((row["steps"] for row in rows), key=len)
    lines = []
    for row in rows:
        found = [dict(zip(row["steps"], row[kind], strict=True)) for kind in ("knn", "linear")]
        scores = [scores.get(step) for scores in found for step in steps]
        lines.append([row["variant"].replace("_", " "), " ".join(f"`{word}`" for word in row["changes"]),
                      *("-" if score is None else f"{score:.1f}" for score in scores),
                      "{:.2f} to {:.2f}".format(*row["latent_std"])])
    header = [f"{kind} at {step}" for kind in ("kNN", "linear") for step in steps]
    return markdown.table(["variant", "change", *header, "deviation of latents"], lines)


def put_table(mark: str, text: str) -> None:
    """Put the table after the line `mark` of the README, in place of the one there."""
    before, _, rest = (HERE / "README.md").read_text(encoding="utf-8").partition(mark)
    write_text(HERE / "README.md", f"{before}{mark}\n{text}\n\n{rest.lstrip().partition(chr(10) * 2)[2]}")


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run_all(Path(sys.argv[2]).resolve(), sys.argv[3:])
    else:
        KEPT.parent.mkdir(exist_ok=True)
        write_json(KEPT, found := collect())
        put_table(MARK, table(found))
