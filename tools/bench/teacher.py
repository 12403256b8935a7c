"""Teacher frames: times real time by the size of a batch, against the whole model clip by clip.

    python -m bench.teacher [batch_seconds=[30,60,120] device=auto precision=float32]

HuBERT Base with random weights: only its size matters here.
"""

import copy
import functools
from dataclasses import dataclass

import numpy as np
import torch
import transformers

from bench.measure import in_turns, machine, medians
from bench.report import leave
from m2d.common.cli import run
from m2d.common.device import PRECISIONS, pick_device
from m2d.common.errors import UserError
from m2d.common.options import option
from m2d.data.datadir import DataDir
from m2d.data.extract import length_batches
from m2d.teacher.speech_model import SpeechTeacher

COLUMNS = {"teacher": "", "batch_s": ".0f", "times_real_time": ".1f", "times_peer": ".2f", "samples_per_s": ".1f"}
SAMPLE_RATE = 16000
CROP_SECONDS = 6.08
"""Of an M2D-S sample: how many a second the teacher serves, were it run on the fly."""


@dataclass
class TeacherBench:
    audio_seconds: float = option(120.0, "audio in a turn, in clips of 2 to 16 s")
    batch_seconds: list[float] = option(factory=lambda: [30.0, 60.0, 120.0], help="sizes of a batch, padding included")
    layer: int = option(9, "transformer layer of the features")
    hidden_size: int = option(768, "width of the network (Base: 768)")
    layers: int = option(12, "transformer layers of the whole network (Base: 12)")
    turns: int = option(3, "timed turns of each way")
    device: str = option("auto", "auto, cpu, cuda")
    precision: str = option("float32", "float32; on a GPU also bfloat16, float16")
    compiled: bool = option(False, "torch.compile the transformer layers of our rows")
    threads: int = option(1, "threads on a CPU; with one, the process's CPU seconds are counted")
    json: str = option("", "write machine, command and rows here as well")


def bench(options: TeacherBench) -> None:
    """The whole model clip by clip and ours with growing batches, in turns."""
    place = pick_device(options.device)
    if options.precision not in PRECISIONS or (place.type == "cpu" and options.precision != "float32"):
        raise UserError(f"precision={options.precision}: float32, or on a GPU one of {', '.join(PRECISIONS)}")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = transformers.HubertModel(transformers.HubertConfig(
        hidden_size=options.hidden_size, num_hidden_layers=options.layers,
        intermediate_size=4 * options.hidden_size)).eval().to(place)
    teacher = SpeechTeacher(copy.deepcopy(model), transformers.Wav2Vec2FeatureExtractor(do_normalize=False),
                            options.layer)
    if options.compiled:
        for layer in teacher.transformer.layers:
            layer.compile()
    clips = audio(options.audio_seconds)
    wavs = [torch.from_numpy(wav)[None].to(place) for wav in clips.values()]

    def whole_model() -> None:
        for wav in wavs:
            model(wav, output_hidden_states=True)

    def batched(batches: list[list[torch.Tensor]]) -> None:
        for batch in batches:
            teacher(batch)

    works = {size: functools.partial(batched, batches_of(clips, size)) for size in (0.0, *options.batch_seconds)}
    clock = "cpu" if place.type == "cpu" and options.threads == 1 else "wall"
    with torch.inference_mode(), torch.autocast(place.type, PRECISIONS[options.precision],
                                                enabled=options.precision != "float32"):
        times = medians(in_turns({"whole model": whole_model, **works}, options.turns, place, clock=clock))
    peer = times.pop("whole model")
    total = sum(map(len, clips.values())) / SAMPLE_RATE
    rows = [{"teacher": f"all {options.layers} layers, clip by clip", "times_real_time": total / peer}]
    rows += [{"teacher": f"{options.layer} layers" + ("" if size else ", clip by clip"), "batch_s": size or None,
              "times_real_time": total / spent} for size, spent in times.items()]
    for row in rows:
        row["times_peer"] = row["times_real_time"] * peer / total
        row["samples_per_s"] = row["times_real_time"] / CROP_SECONDS
    about = {**machine(place), "transformers": transformers.__version__, "precision": options.precision,
             "compiled": options.compiled}
    leave(about, rows, COLUMNS, options.json)


def audio(seconds: float) -> dict[str, np.ndarray]:
    """Noise clips of 2 to 16 s, float32 at 16 kHz, at least `seconds` together."""
    rng, clips, total = np.random.default_rng(0), {}, 0.0
    while total < seconds:
        length = rng.uniform(2, min(16, seconds))
        clips[f"{len(clips):04d}"] = rng.standard_normal(round(length * SAMPLE_RATE)).astype(np.float32)
        total += length
    return clips


def batches_of(clips: dict[str, np.ndarray], batch_seconds: float) -> list[list[torch.Tensor]]:
    """The batches that stage 2 makes of the clips; of 0 seconds: one clip each."""
    data = DataDir(wav=dict.fromkeys(clips, ""), utt2dur={name: len(wav) / SAMPLE_RATE for name, wav in clips.items()})
    return [[torch.from_numpy(clips[name]) for name in batch]
            for batch in length_batches(data, data.utterances, batch_seconds)]


if __name__ == "__main__":
    run(TeacherBench, bench, __doc__)
