"""Frozen features: waveform to frames, times real time, of ours beside HuBERT, wav2vec 2.0 and AST; files to features.

    python -m bench.features [seconds=10 threads=[1,2] device=auto precision=float32]

All Base, random weights: only their sizes matter here.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from torch import Tensor

from bench.measure import in_turns, machine, medians, once
from bench.report import leave
from bench.synthetic import write_audio
from m2d.audio.logmel import LogMelConfig
from m2d.common.cli import run
from m2d.common.device import PRECISIONS, pick_device
from m2d.common.options import option
from m2d.data.datadir import DataDir
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import ENCODERS, EncoderConfig
from m2d.pretrained.extraction import FeatureOptions, extract_features
from m2d.pretrained.features import M2DFeatures

COLUMNS = {"what": "", "clips": "", "threads": "", "ms_per_clip": ".0f", "times_real_time": ".1f",
           "times_hubert": ".2f"}
RATE = 16000
OURS = {"M2D ViT-Base 80x608 16x16": (16, 16), "M2D-S ViT-Base 80x608 80x2": (80, 2)}
ONE_BY_ONE, TOGETHER = "one by one", "together"


@dataclass
class FeaturesBench:
    seconds: float = option(10.0, "length of a clip")
    clips: int = option(1, "clips in a turn; more than one are given one by one and together")
    threads: list[int] = option(factory=lambda: [1, 2], help="threads on a CPU, a table row each")
    size: str = option("base", "width, depth and heads of all networks", choices=tuple(ENCODERS))
    files: int = option(0, "a further row: so many files of 1 to 2 times that length, each to a file of frames")
    turns: int = option(3, "timed turns of each way")
    device: str = option("auto", "auto, cpu, cuda")
    precision: str = option("float32", "float32, bfloat16 or float16 (autocast)", choices=tuple(PRECISIONS))
    clock: str = option("wall", "wall, or cpu: CPU seconds of all threads, on a machine that others use too",
                        choices=("wall", "cpu"))
    json: str = option("", "write machine, command and rows here as well")


def bench(options: FeaturesBench) -> None:
    """All networks take turns on the same clips, with each number of threads."""
    place = pick_device(options.device)
    torch.manual_seed(0)
    wavs = [0.1 * torch.randn(round(options.seconds * RATE)) for _ in range(options.clips)]
    models = {name: ours(patch, options.size).to(place) for name, patch in OURS.items()}
    ways = {**{name: as_taken(model) for name, model in models.items()}, **peers(options.size, place)}
    works = {(name, ONE_BY_ONE): (lambda way=way: [way([wav]) for wav in wavs]) for name, way in ways.items()}
    if options.clips > 1:
        works |= {(name, TOGETHER): (lambda way=way: way(wavs)) for name, way in ways.items()}
    audio, rows = options.clips * options.seconds, []
    for threads in options.threads if place.type == "cpu" else [1]:
        torch.set_num_threads(threads)
        with torch.inference_mode(), torch.autocast(place.type, PRECISIONS[options.precision],
                                                    enabled=options.precision != "float32"):
            times = medians(in_turns(works, options.turns, place, clock=options.clock))
        rows += [{"what": name, "clips": how, "threads": threads, "ms_per_clip": 1000 * spent / options.clips,
                  "times_real_time": audio / spent, "times_hubert": times["HuBERT Base", how] / spent}
                 for (name, how), spent in times.items()]
        if options.files:
            rows.append(from_files(options, next(iter(models.values())), threads))
    about = {**machine(place), "transformers": transformers.__version__, "precision": options.precision,
             "clock": options.clock}
    leave(about, rows, COLUMNS, options.json)


def ours(patch: tuple[int, int], size: str) -> M2DFeatures:
    """Our encoder of 6.08 s behind its front end."""
    return M2DFeatures(Encoder(EncoderConfig((80, 608), patch, 1, *ENCODERS[size])), LogMelConfig(), -7.1, 4.2).eval()


def as_taken(model: M2DFeatures) -> Callable[[list[Tensor]], object]:
    """Clips to the frames of the last layer, as `extract_features` takes them."""
    return lambda wavs: model(wavs, all_layers=False).frames


def peers(size: str, place: torch.device) -> dict[str, Callable[[list[Tensor]], object]]:
    """The models of transformers with their own front ends: clips of one length to the last hidden states."""
    width, depth, heads = ENCODERS[size]
    settings = {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads,
                "intermediate_size": 4 * width}
    ast_front = transformers.ASTFeatureExtractor()
    hubert = transformers.HubertModel(transformers.HubertConfig(**settings)).eval().to(place)
    wav2vec2 = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**settings)).eval().to(place)
    ast = transformers.ASTModel(transformers.ASTConfig(**settings)).eval().to(place)

    def with_fbank(wavs: list[Tensor]) -> object:
        inputs = ast_front([wav.numpy() for wav in wavs], sampling_rate=RATE, return_tensors="pt")
        return ast(inputs.input_values.to(place)).last_hidden_state

    return {"HuBERT Base": lambda wavs: hubert(torch.stack(wavs).to(place)).last_hidden_state,
            "wav2vec 2.0 Base": lambda wavs: wav2vec2(torch.stack(wavs).to(place)).last_hidden_state,
            "AST Base": with_fbank}


def from_files(options: FeaturesBench, model: M2DFeatures, threads: int) -> dict[str, object]:
    """`m2d extract_features` without its start: files are decoded by a worker, frames written behind."""
    lengths = [options.seconds * (1 + clip / options.files) for clip in range(options.files)]
    with tempfile.TemporaryDirectory() as folder:
        paths = write_audio(Path(folder, "audio"), lengths)
        data = DataDir({path.stem: str(path) for path in paths})
        todo = FeatureOptions(model="random", data=folder, out=f"{folder}/out", device=options.device, workers=1,
                              precision=options.precision)
        spent = once(lambda: extract_features(data, model, todo), torch.device("cpu"), clock=options.clock)
    return {"what": f"{next(iter(OURS))}, file to file", "clips": TOGETHER, "threads": threads,
            "ms_per_clip": 1000 * spent / options.files, "times_real_time": sum(lengths) / spent}


if __name__ == "__main__":
    run(FeaturesBench, bench, __doc__)
