"""Pre-training on two nodes of a real Slurm: the run of a single process, warned and requeued on the way."""

import json
import sys

import numpy as np
import pytest
import torch

from m2d.data.store import PackedWriter, merge_index
from m2d.training.checkpoint import checkpoints, read_checkpoint


@pytest.fixture
def options(shell):
    """`key=value` options of 60 epochs of 4 steps in exp/."""
    rng = np.random.default_rng(0)
    with PackedWriter(shell.cwd / "speech", "logmel", 80) as writer:
        for utterance in range(16):
            slow = rng.normal(size=(8, 80)).repeat(8, axis=0)
            writer.append(f"utt{utterance:02d}", (-7 + 4 * slow + rng.normal(size=slow.shape)).astype(np.float16))
    (shell.cwd / "speech/stats.json").write_text(json.dumps(merge_index(shell.cwd / "speech")))
    return [
        "data.speech=speech", "data.workers=1", "model.input_size=[80,48]", "model.patch_size=[80,4]",
        "model.size=custom", "model.width=32", "model.depth=1", "model.heads=2", "model.predictor_width=16",
        "model.predictor_depth=1", "model.predictor_heads=2", "model.mask_ratio=0.6", "optim.batch_size=4",
        "optim.epochs=60", "optim.warmup_epochs=1", "optim.base_lr=0.1", "optim.ema_start=0.9", "optim.ema_end=0.99",
        "run.device=cpu", "run.log_steps=5",
    ]


def losses(folder):
    """step -> loss of every optimiser step."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def test_two_nodes_train_as_one_process(shell, slurm, options, wait_for):
    one, two = shell.cwd / "one", shell.cwd / "two"
    done = shell.run("run.sh", "one.log", sys.executable, "-m", "m2d.bin.pretrain", *options, "run.exp=one")
    assert done.returncode == 0, shell.read("one.log")

    launcher = shell.start("slurm.sh", "--nodes", 2, "--mem", 2000, "--time", 10, "--warn", 60, "two.log",
                           sys.executable, shell.utils / "torchrun.py", "-m", "m2d.bin.pretrain", *options,
                           "run.exp=two")
    job = slurm.job()
    wait_for(lambda: (two / "metrics.jsonl").exists(), 60)
    slurm(f"scancel --batch --signal=USR1 {job}")  # as Slurm does before the time limit
    _, err = launcher.communicate(timeout=150)
    log = shell.read("two.log")
    assert launcher.returncode == 0, err
    assert "the job is requeued" in log and ", restart 1\n" in log

    expected, found = losses(one), losses(two)
    assert len(expected) == 240 and found == pytest.approx(expected, rel=1e-4)
    weights = [read_checkpoint(checkpoints(folder / "checkpoints")[-1])["model"] for folder in (one, two)]
    for model in weights:
        for name, values in model.items():
            if name.endswith("qkv.bias"):  # of the keys: softmax takes no notice, so rounding alone moves it
                values.chunk(3)[1].zero_()
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-3)
