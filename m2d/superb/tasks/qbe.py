"""QbE: query-by-example spoken term detection on QUESST 2014 (s3prl downstream quesst14_dtw), nothing is trained."""

import re
import subprocess
from pathlib import Path
from typing import Any

from m2d.superb.task import TASKS, Corpora, Measure, Task, folder

SCORER = "score-TWV-Cnxe.sh"
LEAST_SCORE = "-10"  # of a trial without one, as s3prl's instructions have it
LISTS = ("language_key_dev.lst", "language_key_eval.lst", "language_key_utterances.lst")


def prepare(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    """The corpus with the scorer that it brings along (it needs perl, java and bc)."""
    root = folder(corpora.quesst14, "quesst14", "Audio, dev_queries, eval_queries, scoring")
    for name in (SCORER, *LISTS, "groundtruth_quesst14_dev", "groundtruth_quesst14_eval"):
        if not (root / "scoring" / name).exists():
            raise ValueError(f"{root / 'scoring' / name}: missing; is {root} the unpacked quesst14Database?")
    config["downstream_expert"]["datarc"]["dataset_root"] = str(root)
    return [str(root)]


def score(exp: Path, config: dict[str, Any], printed: str) -> dict[str, float]:
    """Maximum term-weighted value of the part that ends `exp`'s name, by the corpus's scorer from s3prl's output."""
    part = "dev" if exp.name.endswith("dev") else "eval"
    scoring = Path(config["downstream_expert"]["datarc"]["dataset_root"]) / "scoring"
    command = ["bash", SCORER, str(exp), f"groundtruth_quesst14_{part}", LEAST_SCORE]
    done = subprocess.run(command, cwd=scoring, capture_output=True, text=True, check=False)
    found = re.search(r"maxTWV: *(\S+)", done.stdout)
    if found is None:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it printed nothing"]
        raise ValueError(f"{scoring / SCORER}: no maxTWV in its output ({lines[-1]}); it needs perl, java and bc")
    return {"qbe": 100 * float(found[1])}


TASKS.register("qbe")(Task("QbE", "quesst14_dtw", (Measure("qbe", "MTWV", None),), prepare, score=score, by_layer=True,
                           statistics_split="dev"))
