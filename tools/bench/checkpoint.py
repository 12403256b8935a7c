"""Checkpoints: how long training waits for one, as a share of a step, compared with `torch.save` in the loop.

    python -m bench.checkpoint [size=base batch=8 directory=DIR]

`directory` should be on the disk that experiments are written to.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.measure import in_turns, machine, medians
from bench.report import leave
from bench.steps import Step, make_batches
from m2d.common.cli import run
from m2d.common.options import option
from m2d.nn import ModelConfig
from m2d.training.checkpoint import CheckpointWriter
from m2d.training.config import RunOptions

COLUMNS = {"what": "", "seconds": ".3f", "steps": ".2f", "share_of_interval": ".3%"}


@dataclass
class CheckpointBench:
    size: str = option("base", "encoder: small, base, large")
    batch: int = option(8, "samples per step")
    input_frames: int = option(208, "log-mel frames of a sample, in patches of 80x4")
    turns: int = option(3, "checkpoints of each way")
    device: str = option("cpu", "cpu or cuda")
    threads: int = option(1, "threads on a CPU")
    directory: str = option("", "where the checkpoints are written (default: a temporary folder)")
    json: str = option("", "write machine, command and rows here as well")


def bench(options: CheckpointBench) -> None:
    """Rows: a step, the wait for a checkpoint, its write in the background, and a plain `torch.save`."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    config = ModelConfig(size=options.size, input_size=[80, options.input_frames], patch_size=[80, 4], mask_ratio=0.6,
                         lambda_off=0.5, teacher_width=768)
    step = Step("fp32", config, make_batches(config, options.batch, device))
    step()  # so that the optimiser has its moments
    with tempfile.TemporaryDirectory(dir=options.directory or None) as name:
        writer = CheckpointWriter(name, keep_last=1, keep_steps=0)
        stood, wrote, plain = [], [], []
        for turn in range(options.turns):
            state = {"model": step.model.state_dict(), "optimizer": step.optimizer.state_dict(), "step": turn}
            stood.append(writer.save(state))
            wrote.append(seconds(writer.wait))
            plain.append(seconds(lambda state=state: torch.save(state, Path(name) / "plain.pt")))
        size = (Path(name) / "plain.pt").stat().st_size
    times = medians({"one step": in_turns({"": step}, options.turns, device)[""],
                     "standing still for a checkpoint": stood, "written and checksummed behind the steps": wrote,
                     "torch.save in the loop": plain})
    interval = 60 * RunOptions().checkpoint_minutes
    rows = [{"what": what, "seconds": spent, "steps": spent / times["one step"], "share_of_interval": spent / interval}
            for what, spent in times.items()]
    leave({**machine(device), "checkpoint_gb": round(size / 1e9, 2)}, rows, COLUMNS, options.json)


def seconds(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    run(CheckpointBench, bench, __doc__)
