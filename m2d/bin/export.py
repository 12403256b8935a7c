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
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.files import from_checkpoint
from m2d.pretrained.published import published_folder, write_published
from m2d.training.checkpoint import read_checkpoint, read_newest


@dataclass
class Options:
    """Command line of this entry point."""

    source: str = option(help="experiment directory (its newest checkpoint is taken) or one checkpoint")
    out: str = option(help="model directory to write")
    published: str | None = option(None, "also write the whole state in the public format: a .pth file, or a folder to "
                                         "hold m2d_vit_SIZE-INPUTpPATCH-TAG/checkpoint-EPOCH.pth")
    tag: str = option("m2d", "TAG of that folder's name")


def main(options: Options) -> None:
    """Read the source, write what is asked for."""
    path, state = _read(Path(options.source))
    model = from_checkpoint(state)
    save_pretrained(model, options.out, {"checkpoint": str(path), "step": state["step"], "epoch": state["epoch"]})
    logging.info("%s: step %d of %s", options.out, state["step"], path)
    if options.published:
        target = _published_path(Path(options.published), model, options.tag, round(state["epoch"]))
        write_published(target, state["model"], model.encoder.config, (model.mean, model.std), model.sample_rate)
        logging.info("%s: written under the published names", target)


def _published_path(given: Path, model: M2DFeatures, tag: str, epoch: int) -> Path:
    if given.suffix == ".pth":
        return given
    return given / published_folder(model.encoder.config, model.sample_rate, tag) / f"checkpoint-{epoch}.pth"


def _read(source: Path) -> tuple[Path, dict[str, Any]]:
    if source.is_file():
        return source, read_checkpoint(source)
    newest = read_newest(source / "checkpoints")
    if newest is None:
        raise UserError(f"{source}: neither a checkpoint nor an experiment directory with checkpoints")
    return newest


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
