"""The online encoder of a pre-training run to a model directory, and the whole state under the published names."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m2d import save_pretrained
from m2d.common import cli
from m2d.common.config import option
from m2d.common.errors import UserError
from m2d.pretrained.files import from_checkpoint
from m2d.pretrained.published import write_published
from m2d.training.checkpoint import read_checkpoint, read_newest


@dataclass
class Options:
    """Command line of this entry point."""

    source: str = option(help="experiment directory (its newest checkpoint is taken) or one checkpoint")
    out: str = option(help="model directory to write")
    published: str | None = option(None, "also write encoder, target and predictor to this .pth, in the public format")


def main(options: Options) -> None:
    """Read the source, write what is asked for."""
    path, state = _read(Path(options.source))
    model = from_checkpoint(state)
    save_pretrained(model, options.out, {"checkpoint": str(path), "step": state["step"], "epoch": state["epoch"]})
    logging.info("%s: step %d of %s", options.out, state["step"], path)
    if options.published:
        write_published(options.published, state["model"], model.encoder.config, (model.mean, model.std))
        logging.info("%s: written under the published names", options.published)


def _read(source: Path) -> tuple[Path, dict[str, Any]]:
    if source.is_file():
        return source, read_checkpoint(source)
    newest = read_newest(source / "checkpoints")
    if newest is None:
        raise UserError(f"{source}: neither a checkpoint nor an experiment directory with checkpoints")
    return newest


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
