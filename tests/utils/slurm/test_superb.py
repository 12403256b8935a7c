"""SUPERB's tasks side by side on a real Slurm: an array with a task each, whose results make one table."""

import importlib.util
import json
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
RUNNER = {"total_steps": 4, "gradient_accumulate_steps": 1, "log_step": 2, "eval_step": 2, "save_step": 2}


def corpora():
    """The builders of tiny corpora."""
    spec = importlib.util.spec_from_file_location("tiny_corpora", ROOT / "tests" / "superb" / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tasks_run_at_the_same_time_and_share_a_table(shell, slurm):
    corpora().fluent(shell.cwd / "fluent")
    corpora().voxceleb1(shell.cwd / "vox")
    (shell.cwd / "tiny.yaml").write_text(yaml.safe_dump({
        "ic": {"runner": RUNNER, "downstream_expert": {"datarc": {"train_batch_size": 4, "num_workers": 0}}},
        "sid": {"runner": RUNNER, "downstream_expert": {"datarc": {"train_batch_size": 2, "num_workers": 0}}}}))
    command = [sys.executable, "-m", "m2d.bin.superb", "model=logmel", "exp=exp/logmel", "tasks=[ic,sid]", "device=cpu",
               "overlays=[tiny.yaml]", "features_gib=0.01", f"conf={ROOT}/egs/librispeech_m2ds/conf/superb",
               "corpora.fluent=fluent", "corpora.voxceleb1=vox", "corpora.voxceleb1_split=vox/iden_split.txt"]
    array = shell.start("slurm.sh", "--num-threads", "1", "JOB=1:2", "log/superb.JOB.log", *command, "job=JOB")
    assert array.wait(timeout=600) == 0, array.communicate()
    logs = [(shell.cwd / "log" / f"superb.{job}.log").read_text() for job in (1, 2)]
    assert [task for log in logs for task in ("ic", "sid") if f"{task} seed 0: training" in log] == ["sid", "ic"]
    assert not (shell.cwd / "exp/logmel/results.json").exists()
    done = shell.run(*command)
    assert done.returncode == 0 and "2 runs, 2 of them done before" in done.stderr
    assert list(json.loads((shell.cwd / "exp/logmel/results.json").read_text())["tasks"]) == ["sid", "ic"]
