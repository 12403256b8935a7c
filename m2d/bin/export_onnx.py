"""A model as an ONNX file, or as a program of torch.export, compiled or not."""

import logging
from dataclasses import dataclass

from m2d.common import cli
from m2d.common.config import option
from m2d.pretrained.files import load_audio
from m2d.pretrained.onnx import export_compiled, export_onnx, export_program


@dataclass
class Options:
    model: str = option(help="model directory, published checkpoint file, or OWNER/NAME on the Hugging Face hub")
    out: str = option(help="file to write: ONNX; .pt2: a torch.export program; .aoti.pt2: that compiled by AOTInductor")
    audio: bool = option(True, "the graph takes waveforms; false: normalised log-mels")


def main(options: Options) -> None:
    logging.getLogger("onnx_ir").setLevel(logging.WARNING)  # it logs every constant that it merges
    export = export_onnx
    if options.out.endswith(".pt2"):
        export = export_compiled if options.out.endswith(".aoti.pt2") else export_program
    export(load_audio(options.model), options.out, options.audio)
    logging.info("%s: written", options.out)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
