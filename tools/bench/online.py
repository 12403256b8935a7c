"""The trainer on stored features and on the fly: samples/s, share of time that waits for data, memory, disk.

    python -m bench.online [setting=m2ds_80x608_80x2 batch=64 device=auto]

The same clips three ways: log-mels and teacher frames from stores; log-mels and teacher of the speech on the fly
(`data.kind=waves`); those of the noise too. Each way is a process of its own. On a CPU they take turns; each has a
GPU to itself. The teacher is a HuBERT with random weights.
"""

import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import transformers

from bench.measure import cpu_of_all, machine
from bench.report import leave
from bench.steps import SETTINGS, settings_of
from bench.synthetic import write_audio
from m2d.common.cli import run
from m2d.common.config import load_config
from m2d.common.device import pick_device
from m2d.common.options import option
from m2d.data.datadir import DataDir
from m2d.data.extract import JobOptions, extract_logmel
from m2d.data.merge import merge_index
from m2d.nn.encoder_config import ENCODERS
from m2d.teacher import load_teacher
from m2d.teacher.extract import TeacherOptions, extract_teacher
from m2d.training.config import PretrainConfig
from m2d.training.data_modules import open_data
from m2d.training.distributed import open_ranks
from m2d.training.trainer import Trainer

COLUMNS = {"way": "", "batch": "d", "samples_per_s": ".2f", "samples_per_cpu_s": ".2f", "waits": ".1%",
           "times_stored": ".2f", "peak_gib": ".2f", "full_corpora_gb": ".0f", "loss": ".4f"}
STORED = "stored"
WAYS = {STORED: 55 + 265 + 321, "speech on the fly": 321, "speech and noise on the fly": 0}
"""GB of features of LS-960 (log-mels, float16 teacher) and of AudioSet as noise; the audio itself is not counted."""


@dataclass
class OnlineBench:
    setting: str = option("m2ds_80x608_80x2", f"one of {', '.join(name for name in SETTINGS if 'm2ds' in name)}",
                          choices=tuple(name for name in SETTINGS if "m2ds" in name))
    size: str = option("base", "encoder: small, base, large, or tiny for a trial", choices=(*ENCODERS, "tiny"))
    batch: int = option(64, "samples of a step", within="[1, inf)")
    micro_batch: int = option(0, "samples of a forward pass (default: what fits)", within="[0, inf)")
    steps: int = option(10, "steps of a turn", within="[1, inf)")
    turns: int = option(3, "timed turns of each way, after one that does not count", within="[1, inf)")
    clips: int = option(128, "clips of speech, and as many of noise", within="[1, inf)")
    seconds: float = option(12.3, "length of a clip of speech (LibriSpeech's mean); noise has 10 s at most")
    teacher_width: int = option(768, "of the teacher (HuBERT Base: 768, 12 layers)")
    teacher_layers: int = option(12, "of the whole network; the frames are those of layer 9, or of the last")
    workers: int = option(1, "loader processes", within="[0, inf)")
    device: str = option("auto", "auto, cpu, cuda")
    threads: int = option(1, "threads on a CPU")
    directory: str = option("", "where the data are made (default: a temporary folder)")
    json: str = option("", "write machine, command and rows here as well")


class Way:
    """A trainer in a process of its own, which takes steps when asked."""

    def __init__(self, words: list[str], threads: int):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, words, threads))
        self._process.start()
        theirs.close()

    def steps(self, count: int) -> dict[str, float]:
        """Take steps: `seconds`, `cpu_seconds` of all its processes, `waited` seconds, the first `loss`, `peak_gib`."""
        self._pipe.send(count)
        return self._pipe.recv()

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()


def serve(pipe: Connection, words: list[str], threads: int) -> None:
    """What the process of a `Way` does, until its pipe is closed."""
    torch.set_num_threads(threads)
    config = load_config(PretrainConfig, None, words)
    with open_ranks(config.run.device) as ranks:
        trainer = Trainer(config, ranks, open_data(config, ranks.device))
        batches, step = trainer.data.training_batches(trainer.sampler), 0
        while True:
            try:
                count = pipe.recv()
            except EOFError:
                os._exit(0)  # without waiting for loader processes that read ahead
            start, cpu, waited, losses = time.perf_counter(), cpu_of_all(), 0.0, []
            for _ in range(count):
                done = trainer.train_step(step, batches)
                waited, step = waited + done.waited, step + 1
                losses.append(done.values["loss"])
            loss = losses[0].item()  # after all steps: it waits for the device
            if ranks.device.type == "cuda":
                torch.cuda.synchronize()
            peak = torch.cuda.max_memory_allocated() if ranks.device.type == "cuda" else \
                1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            pipe.send({"seconds": time.perf_counter() - start, "cpu_seconds": cpu_of_all() - cpu, "waited": waited,
                       "loss": loss, "peak_gib": peak / 2**30})


def bench(options: OnlineBench) -> None:
    """Make the data, take the times, print the table."""
    device = pick_device(options.device)
    with tempfile.TemporaryDirectory(dir=options.directory or None) as name:
        words = make(Path(name), options, device)
        taken: dict[str, list[dict[str, float]]] = {way: [] for way in words}
        for together in [list(words)] if device.type == "cpu" else [[way] for way in words]:
            trainers = {way: Way(words[way], options.threads) for way in together}
            for _ in range(1 + options.turns):
                for way, trainer in trainers.items():
                    taken[way].append(trainer.steps(options.steps))
            for trainer in trainers.values():
                trainer.close()
    leave({**machine(device), "setting": options.setting, "transformers": transformers.__version__},
          rows_of(taken, options), COLUMNS, options.json)


def rows_of(taken: dict[str, list[dict[str, float]]], options: OnlineBench) -> list[dict[str, Any]]:
    """A row for each way: medians over the turns after the first, whose first loss tells that all do the same."""
    rows, samples = [], options.batch * options.steps
    for way, (first, *turns) in taken.items():
        middle = {name: statistics.median(turn[name] for turn in turns) for name in first}
        rows.append({"way": way, "batch": options.batch, "samples_per_s": samples / middle["seconds"],
                     "samples_per_cpu_s": samples / middle["cpu_seconds"],
                     "waits": middle["waited"] / middle["seconds"], "peak_gib": turns[-1]["peak_gib"],
                     "full_corpora_gb": WAYS[way], "loss": first["loss"]})
    for row in rows:
        row["times_stored"] = row["samples_per_s"] / rows[0]["samples_per_s"]
    return rows


def make(folder: Path, options: OnlineBench, device: torch.device) -> dict[str, list[str]]:
    """Audio, teacher and stores in `folder`; the options of pre-training of each way."""
    layer = min(9, options.teacher_layers)
    torch.manual_seed(0)
    transformers.HubertModel(transformers.HubertConfig(
        hidden_size=options.teacher_width, num_hidden_layers=options.teacher_layers,
        intermediate_size=4 * options.teacher_width)).save_pretrained(folder / "teacher")
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder / "teacher")
    stats = {}
    for name, seconds in (("speech", options.seconds), ("noise", min(10.0, options.seconds))):
        paths = write_audio(folder / f"{name}_audio", [seconds] * options.clips, suffix=".flac")
        data = DataDir(wav={path.stem: str(path) for path in paths})
        data.write(folder / name)
        extract_logmel(data, JobOptions(data=name, out=str(folder / f"{name}_logmel")))
        stats[name] = merge_index(folder / f"{name}_logmel")
    extract_teacher(DataDir.read(folder / "speech"), load_teacher(str(folder / "teacher"), layer), TeacherOptions(
        data="speech", out=str(folder / "teacher_frames"), layer=layer, device=str(device), workers=0))
    merge_index(folder / "teacher_frames")
    mean = [f"data.mean={stats['speech']['mean']}", f"data.std={stats['speech']['std']}"]
    waves = ["data.kind=waves", f"data.speech={folder}/speech", *mean, f"data.teacher={folder}/teacher",
             f"data.teacher_layer={layer}"]
    noise = f"data.noise={folder}/noise_logmel"
    ways = ([f"data.speech={folder}/speech_logmel", f"data.teacher={folder}/teacher_frames", noise], [*waves, noise],
            [*waves, f"data.noise={folder}/noise", f"data.noise_mean={stats['noise']['mean']}"])
    epochs = 1 + (1 + options.turns) * options.steps * options.batch // options.clips
    model = settings_of(options.setting, options.size)
    common = [*(f"model.{key}={value}" for key, value in model.items()), "data.noise_ratio=0.2",
              f"data.workers={options.workers}", f"data.epoch_samples={max(options.clips, options.batch)}",
              f"optim.batch_size={options.batch}", f"optim.micro_batch={options.micro_batch}",
              f"optim.epochs={2 * epochs}", "optim.warmup_epochs=0", f"run.exp={folder}/exp",
              f"run.device={device.type}", f"run.dtype={'bf16' if device.type == 'cuda' else 'fp32'}"]
    return {way: [*common, *words] for way, words in zip(WAYS, ways, strict=True)}


if __name__ == "__main__":
    run(OnlineBench, bench, __doc__)
