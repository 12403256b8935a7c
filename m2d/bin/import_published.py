"""A published M2D, M2D-S, M2D-X, M2D-CLAP or MSM-MAE checkpoint, with its heads, to a model directory.

To continue pre-training from such a file no import is needed: give it as run.init_from of m2d.bin.pretrain.
"""

import logging
from dataclasses import dataclass

from m2d import save_pretrained
from m2d.common import cli
from m2d.common.config import option
from m2d.pretrained.files import load_pretrained
from m2d.pretrained.tagging import read_labels


@dataclass
class Options:
    checkpoint: str = option(help="published .pth file, or its folder")
    out: str = option(help="model directory to write")
    heads: int | None = option(None, "attention heads, where the file is no ViT small, base or large")
    sample_rate: int | None = option(None, "16000 or 32000 Hz, which no tensor tells; default: 16000")
    labels: str | None = option(None, "class names: class_labels_indices.csv of AudioSet, or one name a line")


def main(options: Options) -> None:
    model = load_pretrained(options.checkpoint, options.heads, options.sample_rate,
                       read_labels(options.labels) if options.labels else None)
    save_pretrained(model, options.out, {"published": options.checkpoint})
    logging.info("%s: %s", options.out, model.encoder.config)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
