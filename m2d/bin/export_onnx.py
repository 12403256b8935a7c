"""The encoder of a pre-trained model as an ONNX file."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from m2d import load_pretrained
from m2d.common import cli
from m2d.common.config import option
from m2d.pretrained.onnx import export_onnx


@dataclass
class Options:
    """Command line of this entry point."""

    model: str = option(help="model directory, published checkpoint file, or OWNER/NAME on the Hugging Face hub")
    out: str = option(help="ONNX file to write")


def main(options: Options) -> None:
    """Load and write."""
    export_onnx(load_pretrained(options.model), options.out)
    logging.info("%s: written and checked", options.out)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
