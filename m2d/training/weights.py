"""Weights to begin a run with, from another run or from a published model."""

from __future__ import annotations

import logging
from pathlib import Path

from torch import nn

from m2d.hub import load_pretrained
from m2d.published import Published, check_state, load_objective, read_published
from m2d.training.checkpoint import is_checkpoint, read_checkpoint

LOG = logging.getLogger(__name__)


def start_from(objective: nn.Module, path: str) -> None:
    """Put the weights at `path` into `objective`: what `run.init_from` means.

    `path` is a checkpoint of a run, a published checkpoint file, or a model directory (or its name on the hub). Where
    it holds the encoder alone the target starts as its copy and the predictor from scratch.

    Raises `UserError` if there is nothing to be read, or it is not of the same networks.
    """
    if is_checkpoint(path):
        state = read_checkpoint(path)["model"]
        check_state(state, objective.state_dict(), path)
        objective.load_state_dict(state)
    elif Path(path).is_file():
        load_objective(objective, read_published(path), path)
    else:
        model = load_pretrained(path)
        state = {f"encoder.{name}": value for name, value in model.encoder.state_dict().items()}
        load_objective(objective, Published(state, model.encoder.config, (model.mean, model.std)), path)
    LOG.info("weights from %s; optimiser and schedule start afresh", path)
