"""Small stores and the options of a run on them, short enough to be killed many times."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from m2d.data.merge import merge_index
from m2d.data.writer import PackedWriter
from m2d.training.checkpoint import checkpoints, read_checkpoint

torch.set_num_threads(1)

UTTERANCES = 20


def write_store(directory, name, width, frames_of, seed):
    """A store of one job; `frames_of` maps utterances to their number of frames."""
    rng = np.random.default_rng(seed)
    with PackedWriter(directory, name, width) as writer:
        for utterance, frames in frames_of.items():
            slow = rng.normal(size=(frames // 8 + 2, width)).repeat(8, axis=0)[:frames]
            writer.append(utterance, (-7 + 4 * slow + rng.normal(size=(frames, width))).astype(np.float16))
    with open(directory / "stats.json", "w") as stream:
        json.dump(merge_index(directory), stream)
    return directory


class Run:
    """One run of `m2d.bin.pretrain` in a process group of its own."""

    def __init__(self, ask, argv, log, env, limits):
        self._ask, self.log = ask, log
        self.pid = ask({"argv": argv, "log": str(log), "env": env, "limits": limits})["pid"]

    def wait(self):
        """Exit status; minus the signal for a death by signal."""
        return self._ask({"wait": self.pid})["status"]

    def said(self):
        """What all runs of the test wrote so far."""
        return self.log.read_text()


@pytest.fixture(scope="session")
def zygote():
    """Send a request to the process that forks runs (see zygote.py)."""
    process = subprocess.Popen([sys.executable, Path(__file__).with_name("zygote.py")], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})

    def ask(request):
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield ask
    process.kill()
    process.wait()


@pytest.fixture
def start(zygote, tmp_path):
    """Start a run with `key=value` options; the output of all runs of the test goes to one file."""
    return lambda argv, env=None, **limits: Run(zygote, argv, tmp_path / "out", env or {}, limits)


@pytest.fixture
def finish(start):
    """Run to the end and return the final state: the newest checkpoint of the `run.exp` among the options."""
    def run_to_end(argv, **how):
        run = start(argv, **how)
        assert run.wait() == 0, run.said()
        return final_state(argv)
    return run_to_end


@pytest.fixture(scope="session")
def state_of():
    """Newest checkpoint of the `run.exp` among options."""
    return final_state


def final_state(argv):
    exp = [word.removeprefix("run.exp=") for word in argv if word.startswith("run.exp=")][-1]
    return read_checkpoint(checkpoints(Path(exp) / "checkpoints")[-1])


@pytest.fixture(scope="session")
def stores(tmp_path_factory):
    """A folder with the stores speech, teacher, noise, valid, valid_teacher; some speech is shorter than the crop."""
    top = tmp_path_factory.mktemp("stores")
    lengths = {f"utt{i:02d}": 20 + 7 * i for i in range(UTTERANCES)}
    write_store(top / "speech", "logmel", 80, lengths, 1)
    write_store(top / "teacher", "teacher", 6, {name: frames // 2 for name, frames in lengths.items()}, 2)
    write_store(top / "noise", "logmel", 80, {f"noise{i}": 15 + 30 * i for i in range(4)}, 3)
    held_out = {f"held{i}": 60 for i in range(5)}
    write_store(top / "valid", "logmel", 80, held_out, 4)
    write_store(top / "valid_teacher", "teacher", 6, {name: 30 for name in held_out}, 5)
    return top


@pytest.fixture
def options(stores, tmp_path):
    """`key=value` options of an M2D-S run of 3 epochs of 5 steps in `tmp_path/exp`."""
    return [
        f"data.speech={stores}/speech", f"data.teacher={stores}/teacher", f"data.noise={stores}/noise",
        "data.noise_ratio=0.2", f"data.valid={stores}/valid", f"data.valid_teacher={stores}/valid_teacher",
        "data.workers=0", "model.input_size=[80,48]", "model.patch_size=[80,4]", "model.size=custom", "model.width=32",
        "model.depth=1", "model.heads=2", "model.predictor_width=16", "model.predictor_depth=1",
        "model.predictor_heads=2", "model.mask_ratio=0.6", "model.lambda_off=0.5",
        "optim.batch_size=4", "optim.epochs=3", "optim.warmup_epochs=1", "optim.base_lr=0.1", "optim.ema_start=0.9",
        "optim.ema_end=0.99", f"run.exp={tmp_path}/exp", "run.device=cpu", "run.keep_epochs=0",
    ]


@pytest.fixture
def own_stores(stores, tmp_path):
    """A copy of the stores that a test may break."""
    return Path(shutil.copytree(stores, tmp_path / "stores"))


@pytest.fixture
def own_options(options, stores, own_stores):
    """Options of a run on the copy."""
    return [word.replace(str(stores), str(own_stores)) for word in options]
