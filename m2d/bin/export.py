"""A pre-trained model in the forms that others take: model directory, published layout, transformers folder."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m2d import save_pretrained
from m2d.common import cli
from m2d.common.config import option
from m2d.common.errors import UserError, errors_at
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.files import from_checkpoint, load_pretrained
from m2d.pretrained.model_card import Card
from m2d.pretrained.published import published_folder, write_published
from m2d.training.checkpoint import read_checkpoint, read_newest


@dataclass
class Options:
    source: str = option(help="experiment directory (its newest checkpoint is taken), one checkpoint, or any model: "
                              "model directory, published checkpoint, OWNER/NAME on the Hugging Face hub")
    out: str | None = option(None, "model directory to write")
    published: str | None = option(None, "write the whole state of a run in the public format: a .pth file, or a "
                                         "folder to hold m2d_vit_SIZE-INPUTpPATCH-TAG/checkpoint-EPOCH.pth")
    tag: str = option("m2d", "TAG of that folder's name")
    hf: str | None = option(None, "folder to write for transformers, with a model card filled from the run; "
                                  "'hf upload OWNER/NAME FOLDER' publishes it")
    license: str | None = option(None, "licence of the weights for the card, by the hub's name: apache-2.0, ...")


def main(options: Options) -> None:
    if not (options.out or options.published or options.hf):
        raise UserError("nothing to write: give out=, published= or hf=")
    source = Path(options.source)
    run = _read(source)
    if options.published and run is None:
        raise UserError(f"{source}: no run with checkpoints, which published= needs")
    if run is None:
        model, origin = load_pretrained(options.source), {"model": options.source}
    else:
        path, state = run
        with errors_at(path):
            model = from_checkpoint(state)
        origin = {"checkpoint": str(path), "step": state["step"], "epoch": state["epoch"]}
    if options.out:
        save_pretrained(model, options.out, origin)
        logging.info("%s: written from %s", options.out, origin)
    if options.published:
        target = Path(options.published)
        if target.suffix != ".pth":
            folder = published_folder(model.encoder.config, model.sample_rate, options.tag)
            target = target / folder / f"checkpoint-{round(state['epoch'])}.pth"
        write_published(target, state["model"], model.encoder.config, (model.mean, model.std), model.sample_rate)
        logging.info("%s: written under the published names", target)
    if options.hf:
        if not isinstance(model, M2DFeatures):
            raise UserError(f"{source}: a model of images, not of audio, which hf= takes")
        from m2d.pretrained.hf_export import export_hf  # transformers takes longer to import than all the rest
        above = (source, *source.resolve().parents[:2])  # EXP, EXP/model, EXP/checkpoints/FILE
        exp = next((folder for folder in above if (folder / "config.yaml").is_file()), None)
        export_hf(model, options.hf, Card(model, exp, options.license))
        logging.info("%s: written for transformers", options.hf)


def _read(source: Path) -> tuple[Path, dict[str, Any]] | None:
    """Path and content of a run's checkpoint; None if the source is no run."""
    if source.is_file() and source.suffix == ".pt":
        return source, read_checkpoint(source)
    return read_newest(source / "checkpoints") if (source / "checkpoints").is_dir() else None


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
