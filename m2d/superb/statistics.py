"""Log-mel mean and standard deviation of a SUPERB task's training audio, as M2D-S sets them per task.

The audio comes out of the task's own loader, so that resampling, gain and crops are those the model will meet.
"""

import contextlib
import copy
import importlib
import io
import logging
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from m2d.audio.logmel import LogMel
from m2d.audio.statistics import Moments
from m2d.common.files import read_json, write_json
from m2d.pretrained import s3prl_compat
from m2d.superb import compat
from m2d.superb.task import Task

LOG = logging.getLogger(__name__)
MAX_CLIPS = 10_000
"""Enough for three digits of both numbers; LibriSpeech alone has 28,539 training clips in PR."""


def task_statistics(path: Path, task: Task, config: dict[str, Any], device: str) -> dict[str, float]:
    """`{"mean", "std"}` of the task's raw log-mel, read from the file `path`, or computed and written there."""
    if not path.is_file():
        found = measure(task, config, device)
        write_json(path, found)
        LOG.info("%s: log-mel statistics of %d training clips: mean %.4f, std %.4f",
                 task.title, found["clips"], found["mean"], found["std"])
    stored = read_json(path)
    return {"mean": stored["mean"], "std": stored["std"]}


def measure(task: Task, config: dict[str, Any], device: str) -> dict[str, Any]:
    """Mean and standard deviation over all bins and frames of up to `MAX_CLIPS` clips of the training loader.

    Args:
        task: which task.
        config: the task's settings as s3prl reads them.
        device: where the log-mel is computed.
    """
    logmel = LogMel().to(device)
    moments = Moments()
    clips = 0
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    silent = io.StringIO()  # s3prl's data sets print their counts
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(silent), \
            contextlib.redirect_stderr(silent):
        s3prl_compat.before_s3prl()
        compat.before_downstream(task.module, config, Path(scratch))
        expert = importlib.import_module(f"s3prl.downstream.{task.module}.expert").DownstreamExpert(
            upstream_dim=1, upstream_rate=160, expdir=scratch, **copy.deepcopy(config))
        loader = expert.get_dataloader(task.statistics_split)
        wanted = min(MAX_CLIPS, len(loader.dataset))
        while clips < wanted:
            for wavs, *_ in loader:
                for wav in wavs:
                    moments.add(logmel(torch.as_tensor(wav, dtype=torch.float32, device=device)).cpu().numpy())
                clips += len(wavs)
                if clips >= wanted:
                    break
    return {"mean": moments.mean, "std": moments.std, "clips": clips}
