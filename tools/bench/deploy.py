"""Runtimes: ViT-Base with random weights on one clip, one thread: torch, torch.export, AOTInductor, onnxruntime.

    python -m bench.deploy [seconds=10]
"""

import tempfile
import warnings
from dataclasses import dataclass

import onnxruntime
import torch

from bench.measure import in_turns, machine, medians
from bench.report import leave
from m2d.audio.logmel import LogMelConfig
from m2d.common.cli import run
from m2d.common.options import option
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.onnx import export_compiled, export_onnx, export_program

COLUMNS = {"runtime": "", "ms_per_clip": ".0f", "times_real_time": ".1f", "ratio_to_torch": ".2f", "difference": ".1e"}


@dataclass
class DeployBench:
    seconds: float = option(10.0, "length of the clip")
    input_size: list[int] = option(factory=lambda: [80, 608], help="mel bins and frames")
    patch_size: list[int] = option(factory=lambda: [16, 16], help="the same of a patch")
    width: int = option(768, "of the encoder")
    depth: int = option(12, "its blocks")
    heads: int = option(12, "of each block")
    compiled: bool = option(True, "AOTInductor too, which compiles for minutes")
    turns: int = option(5, "timed turns of each way")
    json: str = option("", "write machine, command and rows here as well")


def bench(options: DeployBench) -> None:
    """A row per runtime: waveform to the features of all layers, CPU seconds."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = EncoderConfig(tuple(options.input_size), tuple(options.patch_size), 1, options.width, options.depth,
                           options.heads)
    model = M2DFeatures(Encoder(config), LogMelConfig(), -7.1, 4.2).eval()
    wav = 0.1 * torch.randn(1, round(options.seconds * model.sample_rate))
    lengths = torch.tensor([wav.shape[1]])
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_onnx(model, f"{folder}/model.onnx")
        export_program(model, f"{folder}/model.pt2")
        limits = onnxruntime.SessionOptions()
        limits.intra_op_num_threads = limits.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(f"{folder}/model.onnx", limits, providers=["CPUExecutionProvider"])
        program = torch.export.load(f"{folder}/model.pt2").module()
        feed = {"audio": wav.numpy(), "lengths": lengths.numpy()}
        works = {"torch": lambda: model(wav).clip, "torch.export": lambda: program(wav, lengths)[1],
                 "onnxruntime": lambda: torch.from_numpy(session.run(["clip"], feed)[0])}
        if options.compiled:
            export_compiled(model, f"{folder}/model.aoti.pt2")
            package = torch._inductor.aoti_load_package(f"{folder}/model.aoti.pt2")
            works["AOTInductor"] = lambda: package(wav, lengths)[1]
        with torch.inference_mode():
            expected = works["torch"]()
            difference = {name: (work() - expected).abs().max().item() for name, work in works.items()}
            times = medians(in_turns(works, options.turns, clock="cpu"))
    leave({**machine(), "onnxruntime": onnxruntime.__version__},
          [{"runtime": name, "ms_per_clip": 1000 * spent, "times_real_time": options.seconds / spent,
            "ratio_to_torch": times["torch"] / spent, "difference": difference[name]}
           for name, spent in times.items()], COLUMNS, options.json)


if __name__ == "__main__":
    run(DeployBench, bench, __doc__)
