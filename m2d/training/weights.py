"""Initial weights of a run, from another run or from a published model."""

import logging
from pathlib import Path
from typing import Any

from torch import nn

from m2d.audio.logmel import LogMelConfig
from m2d.common.errors import UserError
from m2d.nn.config import ModelConfig
from m2d.pretrained.files import load_pretrained
from m2d.pretrained.images import ImageFeatures
from m2d.pretrained.layouts import named_32k
from m2d.pretrained.published import Published, load_objective, read_published
from m2d.training.checkpoint import is_checkpoint, read_checkpoint

LOG = logging.getLogger(__name__)


def start_from(objective: nn.Module, path: str) -> dict[str, Any]:
    """Load the weights at `path` into `objective` (`run.init_from`). Returns the statistics of their training data.

    `path` is a checkpoint of a run, a published checkpoint file, or a model directory (or its name on the hub). From an
    encoder alone the target starts as its copy, and the predictor from scratch; so does what answers another teacher.

    Raises `UserError` if there is nothing to read, or the networks or sample rates differ.
    """
    heads = None  # a published file that tells others is refused where it is read
    if is_checkpoint(path):
        checkpoint = read_checkpoint(path)
        encoder, statistics = ModelConfig(**checkpoint["config"]["model"]).encoder, checkpoint["statistics"]
        heads = encoder.heads
        published = Published(checkpoint["model"], encoder, (statistics["mean"], statistics["std"]))
    elif Path(path).is_file():
        published = read_published(path, objective.config.encoder.heads, 32000 if named_32k(path) else None)
    else:
        model = load_pretrained(path)
        heads = model.encoder.config.heads
        state = {f"encoder.{name}": value for name, value in model.encoder.state_dict().items()}
        front_end = LogMelConfig() if isinstance(model, ImageFeatures) else model.logmel.config
        published = Published(state, model.encoder.config, (model.mean, model.std), front_end)
    if published.front_end.sample_rate != LogMelConfig().sample_rate:
        raise UserError(f"{path}: weights for audio of {published.front_end.sample_rate} Hz; the log-mels of a run are "
                        f"of audio of {LogMelConfig().sample_rate} Hz: give other weights")
    load_objective(objective, published, path)
    wanted = objective.config.encoder.heads
    if heads is not None and heads != wanted:
        raise UserError(f"{path}: its encoder has {heads} attention heads, this run's {wanted} (model.heads)")
    LOG.info("weights from %s; optimiser and schedule start from scratch", path)
    return dict(zip(("mean", "std"), published.statistics, strict=True))
