"""Checks before days of work: a model keeps s3prl's contract; every recording of a task is there."""

import dataclasses
import logging
import os
from collections import Counter
from typing import Any

import torch
from omegaconf import MISSING

from m2d.common.config import option
from m2d.common.errors import UserError
from m2d.common.files import in_threads
from m2d.data.corpora.published import Size, compared, published
from m2d.superb.config import resolve_model
from m2d.superb.registration import register
from m2d.superb.task import Task

LOG = logging.getLogger(__name__)
TOLERANCE = 1e-4
SHOWN = 3  # missing recordings that are named


@dataclasses.dataclass
class CheckConfig:
    model: str = option(MISSING, "model directory, random:DIRECTORY, logmel[:FRAMES] or hf:ID_OR_FOLDER")


def check(config: CheckConfig) -> None:
    """Load the model from s3prl's hub and encode noise clips, alone and in a batch.

    Raises `UserError` where the number of frames is not what s3prl expects, or a clip's features depend on its batch.
    """
    model = resolve_model(config.model)
    if not model.ours:
        raise UserError(f"model={config.model}: an upstream of s3prl's own; only ours are checked")
    register()
    from s3prl import hub

    upstream = getattr(hub, model.upstream)(ckpt=model.ckpt, model_config={"mean": -8.0, "std": 4.0}).eval()
    generator = torch.Generator().manual_seed(0)
    clips = [0.1 * torch.randn(samples, generator=generator) for samples in (16000, 40123, 7777)]
    rate = upstream.get_downsample_rates("hidden_states")
    with torch.no_grad():
        layers = upstream(clips)["hidden_states"]  # [B, T, D] each
        lacking = round(max(map(len, clips)) / rate) - layers[0].shape[1]
        if not -4 <= lacking <= 0:
            raise UserError(f"{config.model}: {lacking} frames fewer than s3prl expects")
        for clip, together in zip(clips, upstream.encode(clips), strict=True):
            difference = (together - upstream.encode([clip])[0]).abs().max().item()
            if not difference <= TOLERANCE:
                raise UserError(f"{config.model}: a clip's features in a batch and alone differ by {difference:.1e}")
    LOG.info("%s: s3prl upstream %s, %d layers of %d, one frame per %d samples",
             config.model, model.upstream, len(layers), layers[0].shape[-1], rate)


def check_recordings(task: Task, config: dict[str, Any]) -> None:
    """Count the recordings of prepared settings beside published numbers. `UserError` names the first one missing."""
    if task.recordings is None:
        return
    there: Counter[str] = Counter()
    missing: list[str] = []
    listed = list(task.recordings(config))
    for (part, places), found in zip(listed, in_threads(
            lambda entry: any(map(os.path.isfile, entry[1])), listed), strict=True):
        there[part] += 1
        if not found:
            missing.append(" or ".join(map(str, places)))
    for part, count in there.items():
        words, differs = compared(Size(count), published(task.published, [part]))
        LOG.log(logging.WARNING if differs else logging.INFO, "SUPERB %s, %s: %s", task.title, part, words)
    if missing:
        raise UserError(f"SUPERB {task.title}: {len(missing)} of {len(listed)} recordings are missing: "
                        f"{', '.join(missing[:SHOWN])}{' ...' if len(missing) > SHOWN else ''}: complete the corpus "
                        "or leave the task out (--tasks)")
