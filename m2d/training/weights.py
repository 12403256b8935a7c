"""Weights to begin a run with, from another run or from a published model."""

from __future__ import annotations

import logging
import math
from pathlib import Path

from torch import nn

from m2d.common.errors import UserError
from m2d.nn.config import ModelConfig
from m2d.pretrained.files import load_pretrained
from m2d.pretrained.published import Published, check_state, load_objective, read_published
from m2d.training.checkpoint import is_checkpoint, read_checkpoint
from m2d.training.feed import Statistics

LOG = logging.getLogger(__name__)
SAME = 0.01
"""Statistics that differ by a smaller share than this are taken for equal: published ones are rounded."""


def start_from(objective: nn.Module, path: str, statistics: Statistics) -> None:
    """Put the weights at `path` into `objective`: what `run.init_from` means.

    `path` is a checkpoint of a run, a published checkpoint file, or a model directory (or its name on the hub). Where
    it holds the encoder alone the target starts as its copy and the predictor from scratch. The run goes on normalising
    log-mels by its own `statistics`; it is warned of where the weights have seen others.

    Raises `UserError` if there is nothing to be read, or it is not of the same networks.
    """
    heads = None  # which no tensor tells: a published file does not say them
    if is_checkpoint(path):
        checkpoint = read_checkpoint(path)
        check_state(checkpoint["model"], objective.state_dict(), path)
        objective.load_state_dict(checkpoint["model"])
        heads = ModelConfig(**checkpoint["config"]["model"]).encoder.heads
        seen = checkpoint["statistics"]["mean"], checkpoint["statistics"]["std"]
    elif Path(path).is_file():
        published = read_published(path)
        load_objective(objective, published, path)
        seen = published.statistics
    else:
        model = load_pretrained(path)
        state = {f"encoder.{name}": value for name, value in model.encoder.state_dict().items()}
        seen, heads = (model.mean, model.std), model.encoder.config.heads
        load_objective(objective, Published(state, model.encoder.config, seen), path)
    wanted = objective.config.encoder.heads
    if heads is not None and heads != wanted:
        raise UserError(f"{path}: its encoder has {heads} attention heads, this run's {wanted} (model.heads)")
    LOG.info("weights from %s; optimiser and schedule start afresh", path)
    if not all(math.isclose(a, b, rel_tol=SAME) for a, b in zip(seen, statistics[:2], strict=True)):
        LOG.warning("%s learnt from log-mels normalised by mean %.4g and deviation %.4g, this run normalises by %.4g "
                    "and %.4g (data.mean and data.std, or else stats.json of data.speech): data.mean=%.4g "
                    "data.std=%.4g would keep to the former", path, *seen, *statistics[:2], *seen)
