"""A published M2D, M2D-S or MSM-MAE checkpoint file to a model directory.

To continue pre-training from such a file no import is needed: give it as run.init_from of m2d.bin.pretrain.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from m2d import load_pretrained, save_pretrained
from m2d.common import cli
from m2d.common.config import option


@dataclass
class Options:
    """Command line of this entry point."""

    checkpoint: str = option(help="published .pth file: pre-training (with target and predictor) or encoder alone")
    out: str = option(help="model directory to write")
    heads: int | None = option(None, "attention heads; default: one per 64 channels, as in every published model")


def main(options: Options) -> None:
    """Read, check, write."""
    model = load_pretrained(options.checkpoint, options.heads)
    save_pretrained(model, options.out, {"published": options.checkpoint})
    logging.info("%s: %s", options.out, model.encoder.config)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
