#!/usr/bin/env python3
"""Settings of fine-tuning on little data: one change at a time, on the mini corpus's ESC-50 from the mini M2D-S.

usage: . ./path.sh; local/tuning.py run MODEL [VARIANT]...
       . ./path.sh; local/tuning.py table                  results/tuning.json and the README's table, of what has run

Five folds of 60 clips (two seconds of each), 25 epochs, one seed: every clip is tested once, by a model that 216 others
(eleven a class) trained and 24 validated; about 5 points either way for one number. A run is a minute or two.
"""

import csv
import json
import sys

from shift import CORPUS, HERE, m2d, make_corpus, put_table

from m2d.common import markdown
from m2d.common.files import write_json, write_text

OUT, DATA, KEPT = HERE / "exp/tuning", HERE / "data/tuning", HERE / "results/tuning.json"
MARK = "<!-- made by local/tuning.py -->\n"
BASE = ["tune.lr=1e-3", "tune.optimizer=adamw", "tune.weight_decay=0.05", "tune.layer_decay=0.75", "tune.epochs=25",
        "tune.warmup_epochs=3", "tune.patience=15", "tune.valid_share=0.1", "tune.batch_size=32", "tune.mixup=0.3",
        "seeds=[0]", "workers=0", "device=cpu"]
VARIANTS = {
    "as_it_was": [],
    "higher_rate": ["tune.lr=3e-3"],
    "lower_rate": ["tune.lr=3e-4"],
    "no_layer_decay": ["tune.layer_decay=1.0"],
    "no_mixup": ["tune.mixup=0"],
    "half_frozen": ["tune.freeze_blocks=2"],
    "no_early_stop": ["tune.patience=0", "tune.valid_share=0"],
}


def run_all(model: str, names: list[str]) -> None:
    """Fine-tune with the variants that have not been."""
    make_corpus()
    DATA.mkdir(parents=True, exist_ok=True)
    with open(CORPUS / "ESC-50/meta/esc50.csv", encoding="utf-8") as stream:
        rows = [(row["filename"], row["category"], row["fold"]) for row in csv.DictReader(stream)]
    write_text(DATA / "sounds.csv", "\n".join(",".join(row) for row in [("file_name", "label", "fold"), *rows]) + "\n")
    m2d("prepare_task", "task=table", "name=tuning", f"table={DATA}/sounds.csv", f"root={CORPUS}/ESC-50/audio",
        f"out={DATA}/task", "seconds=2")
    for name in names or VARIANTS:
        m2d("finetune", f"model={model}", f"task={DATA}/task", f"out={OUT}", f"tuning={name}", f"label={name}",
            *BASE, *VARIANTS[name])


def collect() -> list[dict[str, object]]:
    """Scores in % of the runs that are there, with the epoch that counted in each fold."""
    rows = []
    for name, changes in VARIANTS.items():
        if (path := OUT / "finetune" / name / "tuning/result.json").is_file():
            result = json.loads(path.read_text(encoding="utf-8"))
            interval = result["measures"]["accuracy"]
            rows.append({"variant": name, "changes": changes, "accuracy": round(result["mean"], 1),
                         "interval": [round(interval["low"], 1), round(interval["high"], 1)],
                         "epochs": [epoch + 1 for epoch in result["epochs"]]})
    return rows


def table(rows: list[dict]) -> str:
    """A row for each variant."""
    return markdown.table(["variant", "change", "accuracy [95%]", "epoch that counted"], [
        [row["variant"].replace("_", " "), " ".join(f"`{word}`" for word in row["changes"]),
         f"{row['accuracy']} [{row['interval'][0]}, {row['interval'][1]}]", " ".join(map(str, row["epochs"]))]
        for row in rows])


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run_all(sys.argv[2], sys.argv[3:])
    else:
        KEPT.parent.mkdir(exist_ok=True)
        write_json(KEPT, found := collect())
        put_table(MARK, table(found))
