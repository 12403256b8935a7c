"""Pre-training on a real Slurm, disturbed on the way: the run that never was."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from m2d.data.merge import merge_index
from m2d.data.writer import PackedWriter
from m2d.training.checkpoint import checkpoints, read_checkpoint

PRETRAIN = ("-m", "m2d.bin.pretrain")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pretraining")


@pytest.fixture(scope="module")
def options(folder):
    """`key=value` options of 60 epochs of 4 steps, with a checkpoint after each step."""
    rng = np.random.default_rng(0)
    with PackedWriter(folder / "speech", "logmel", 80) as writer:
        for utterance in range(16):
            slow = rng.normal(size=(8, 80)).repeat(8, axis=0)
            writer.append(f"utt{utterance:02d}", (-7 + 4 * slow + rng.normal(size=slow.shape)).astype(np.float16))
    (folder / "speech/stats.json").write_text(json.dumps(merge_index(folder / "speech")))
    return [
        f"data.speech={folder}/speech", "data.workers=1", "model.input_size=[80,48]", "model.patch_size=[80,4]",
        "model.size=custom", "model.width=32", "model.depth=1", "model.heads=2", "model.predictor_width=16",
        "model.predictor_depth=1", "model.predictor_heads=2", "model.mask_ratio=0.6", "optim.batch_size=4",
        "optim.epochs=60", "optim.warmup_epochs=1", "optim.base_lr=0.1", "optim.ema_start=0.9", "optim.ema_end=0.99",
        "run.device=cpu", "run.log_steps=5", "run.checkpoint_minutes=0",
    ]


@pytest.fixture(scope="module")
def undisturbed(folder, options):
    """Experiment directory of one process that was left alone."""
    done = subprocess.run([sys.executable, *PRETRAIN, *options, f"run.exp={folder}/undisturbed"], capture_output=True,
                          text=True, env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 0, done.stderr
    return folder / "undisturbed"


def final_state(exp):
    return read_checkpoint(checkpoints(exp / "checkpoints")[-1])


def losses(exp):
    """step -> loss of every optimiser step."""
    lines = map(json.loads, (exp / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def has_trained(exp):
    return lambda: any(exp.glob("checkpoints/step_*.pt"))


def is_pending(number, process):
    """Whether a stopped process has been sent the signal."""
    status = Path(f"/proc/{process}/status").read_text()
    return bool(int(re.search(r"ShdPnd:\s*(\w+)", status).group(1), 16) >> (number - 1) & 1)


@pytest.mark.parametrize("event", ["warning", "lost node"])
def test_two_nodes_train_as_one_process(shell, slurm, options, undisturbed, wait_for, event):
    exp = shell.cwd / "exp"
    launcher = shell.start("slurm.sh", "--nodes", 2, "--mem", 2000, "--time", 10, "--warn", 60, "a.log",
                           sys.executable, shell.utils / "torchrun.py", *PRETRAIN, *options, "run.exp=exp")
    job = slurm.job()
    wait_for(has_trained(exp), 60)
    if event == "warning":
        slurm(f"scancel --batch --signal=USR1 {job}")  # as Slurm does before the time limit
    else:
        slurm.lose("n2")
        slurm.restore()
    _, err = launcher.communicate(timeout=150)
    log = shell.read("a.log")
    assert launcher.returncode == 0, err
    assert ("the job is requeued" in log) == (event == "warning")
    assert ", restart 1\n" in log and "resumed after step" in log

    expected = losses(undisturbed)
    assert len(expected) == 240 and losses(exp) == pytest.approx(expected, rel=1e-4)
    weights = [final_state(exp)["model"] for exp in (undisturbed, exp)]
    for model in weights:
        for name, values in model.items():
            if name.endswith("qkv.bias"):  # of the keys: softmax takes no notice, so rounding alone moves it
                values.chunk(3)[1].zero_()
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("event", ["time limit", "preemption", "lost node"])
def test_what_slurm_requeues_ends_as_if_nothing_had_happened(shell, slurm, options, undisturbed, wait_for, event):
    exp = shell.cwd / "exp"
    launcher = shell.start("slurm.sh", "--mem", 2000, "--time", 10, "--warn", 60, "a.log", sys.executable, *PRETRAIN,
                           *options, "run.exp=exp")
    job = slurm.job()
    wait_for(has_trained(exp), 60)
    if event == "time limit":  # Slurm looks at it every half a minute: the step lasts until the warning is there
        process = int((exp / ".lock").read_text().split()[1])
        os.kill(process, signal.SIGSTOP)
        slurm(f"scontrol update jobid={job} endtime=now+55")
        wait_for(lambda: is_pending(signal.SIGUSR1, process), 60)
        os.kill(process, signal.SIGCONT)
    elif event == "preemption":
        slurm.preempt()
    else:
        slurm.lose(slurm(f"squeue -h -o %N -j {job}"))
    _, err = launcher.communicate(timeout=150)
    log = shell.read("a.log")
    assert launcher.returncode == 0, err
    assert ", restart 1\n" in log and "resumed after step" in log
    assert ("asked to stop: checkpoint written" in log) == (event != "lost node")
    assert (exp / "metrics.jsonl").read_text() == (undisturbed / "metrics.jsonl").read_text()
    expected, found = final_state(undisturbed), final_state(exp)
    for part in ("model", "optimizer", "rng", "step"):
        torch.testing.assert_close(found[part], expected[part], rtol=0, atol=0)
