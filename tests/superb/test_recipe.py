"""Stage 5 of egs/librispeech_m2ds with the tasks that have no stand-in in the mini corpus, and a sweep of rates."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNNER = "runner: {total_steps: 4, gradient_accumulate_steps: 1, log_step: 2, eval_step: 2, save_step: 2}"
RNN = "project_dim: 16, RNNs: {dim: [16, 16]}"
TINY = f"""
asr: {{{RUNNER}, downstream_expert: {{datarc: {{batch_size: 2, num_workers: 0}}, modelrc: {{{RNN}}}}}}}
sf: {{{RUNNER}, downstream_expert: {{corpus: {{batch_size: 2, num_workers: 0}}, model: {{{RNN}}}}}}}
sd: {{{RUNNER}, downstream_expert: {{loaderrc: {{train_batchsize: 2, num_workers: 0}}, modelrc: {{hidden_size: 16}}}}}}
qbe: {{downstream_expert: {{max_workers: 1, datarc: {{num_workers: 0}}}}}}
"""


@pytest.fixture(scope="module")
def run(corpora, tmp_path_factory):
    """./run.sh in a copy of the recipe, with the tiny corpora in the environment."""
    root = tmp_path_factory.mktemp("clone")
    recipe = root / "egs" / "librispeech_m2ds"
    shutil.copytree(ROOT / "egs" / "librispeech_m2ds", recipe, ignore=shutil.ignore_patterns("data", "dump", "exp"))
    (root / "utils").symlink_to(ROOT / "utils")
    (root / "tiny.yaml").write_text(TINY)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
                   "SUPERB_LIBRISPEECH": corpora.librispeech, "SNIPS": corpora.snips, "LIBRI2MIX": corpora.libri2mix,
                   "QUESST14": corpora.quesst14, "VOXCELEB1": corpora.voxceleb1}

    def run(*options: str, **changes: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [recipe / "run.sh", "--stage", "5", "--stop_stage", "5", "--upstream", "logmel", "--superb_overlays",
             str(root / "tiny.yaml"), *options], env={**environment, **changes}, text=True, cwd=recipe,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    run.exp = recipe / "exp"
    return run


def test_tasks_and_a_sweep(run):
    """Each task has a column; SF was trained at both rates and the better one counts; a second call finds it done."""
    done = run("--tasks", "asr sf sd qbe", "--sweep", "1e-2 1e-4")
    assert done.returncode == 0, done.stdout[-4000:]
    results = json.loads((run.exp / "superb_logmel" / "results.json").read_text())["tasks"]
    assert list(results) == ["asr", "qbe", "sd", "sf"]
    assert all(results[task]["swept"] == [1e-4, 1e-2] and results[task]["lr"] in (1e-4, 1e-2)
               for task in ("asr", "sf", "sd"))
    rates = (run.exp / "superb_logmel" / "sf" / "seed0").iterdir()
    assert sorted(path.name for path in rates) == ["lr0.0001", "lr0.01"]
    header = next(line for line in (run.exp / "SUPERB.md").read_text().splitlines() if line.startswith("| model"))
    assert header == "| model | ASR WER ↓ | QbE MTWV ↑ | SD DER ↓ | SF F1 ↑ | SF CER ↓ |"
    again = run("--tasks", "sf", "--sweep", "1e-2 1e-4").stdout
    assert "SUPERB sf of logmel: done before, skipped" in again


@pytest.mark.parametrize("tasks, changes, words", [
    ("asr", {"SUPERB_LIBRISPEECH": ""}, "the mini corpus has nothing for it: name SUPERB_LIBRISPEECH in db.sh"),
    ("sf", {"SNIPS": "/nowhere"}, "SNIPS=/nowhere (db.sh): no such file or folder"),
    ("sd", {"LIBRI2MIX": "."}, "train: no such folder; it should be the folder with wav.scp, segments"),
    ("qbe", {"QUESST14": "."}, "score-TWV-Cnxe.sh: missing; is"),
    ("asv", {}, "ASV trims silence with libsox through torchaudio: install libsox-dev"),
])
def test_what_a_task_lacks_is_a_line(run, tasks, changes, words):
    done = run("--tasks", tasks, **changes)
    assert done.returncode != 0 and words in done.stdout and "Traceback" not in done.stdout, done.stdout[-2000:]
