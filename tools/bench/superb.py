"""SUPERB's cost: hours of each of the paper's tasks on its full corpus, at the rates of this machine.

    python -m bench.superb [device=auto threads=1 rates=5 size=base patch_size=[80,2]]

The work follows from the tasks' settings: clips that training hears, and dev and test parts as often as they are
evaluated. What is measured, for each task's mean clip and batch, is the network, all layers of which are given
(clip by clip on a CPU, as `m2d.superb` does it), and a step of the head: weighted sum of the layers, projection,
mean over time, classes, backward. The disk is read uncached. Loading audio is not in it.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.measure import in_turns, machine, medians
from bench.report import leave
from m2d.audio.logmel import LogMelConfig
from m2d.common.cli import run
from m2d.common.device import pick_device
from m2d.common.options import option
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import ENCODERS, EncoderConfig
from m2d.pretrained.features import M2DFeatures
from m2d.superb.task import TASKS, data_settings, read_settings
from m2d.training.rates import disk_rate

CONF = Path(__file__).parents[2] / "egs" / "librispeech_m2ds" / "conf" / "superb"
COLUMNS = {"task": "", "heard_h": ",.0f", "audio_h": ".1f", "network_x": ".1f", "head_ms": ".0f", "features_gb": ",.0f",
           "hours": ",.0f", "from_disk_h": ",.0f", "sweep_h": ",.0f", "sweep_from_disk_h": ",.0f"}
CLASSES = 1251  # of SID, the most of any


class Audio(NamedTuple):
    """Hours of the parts that a run trains on, is chosen by and is tested on.

    `new` is the share of the training audio that never comes again; `runs` is more than one where there are folds.
    """

    train: float
    dev: float
    test: float
    clip_s: float
    new: float = 0.0
    runs: int = 1


SETS = {
    "pr": Audio(100.6, 5.4, 5.4, 3600 * 100.6 / 28539),
    "ks": Audio(0.8 * 64721 / 3600, 0.1 * 64721 / 3600, 3081 / 3600, 1.0, new=1 / 12),
    "ic": Audio(14.7, 1.9, 2.4, 3600 * 14.7 / 23132),
    "sid": Audio(352 * 138361 / 153516, 352 * 6904 / 153516, 352 * 8251 / 153516, 8.0, new=1.0),
    "er": Audio(0.8 * 0.8 * 5531 * 4.5 / 3600, 0.8 * 0.2 * 5531 * 4.5 / 3600, 0.2 * 5531 * 4.5 / 3600, 4.5, runs=5),
}
"""PR and IC: `m2d/data/corpora/published.yaml`. KS: seconds, a tenth of them for dev, a tenth unused; a sample in
twelve is a random second of noise. SID: 352 h, cut to 8 s at random, all taken for new ones: shorter clips come
again, so that the disk saves more. ER: 5,531 utterances of 4.5 s, four sessions, a fifth of them for dev."""


@dataclass
class SuperbBench:
    tasks: list[str] = option(factory=lambda: list(SETS), help=f"which of {' '.join(SETS)}")
    rates: int = option(5, "learning rates of the sweep", within="[1, inf)")
    size: str = option("base", "of the encoder", choices=tuple(ENCODERS))
    input_frames: int = option(608, "its input")
    patch_size: list[int] = option(factory=lambda: [80, 2], help="bins and frames of a patch")
    device: str = option("auto", "auto, cpu, cuda")
    threads: int = option(1, "threads on a CPU; with one, the process's CPU seconds are counted")
    turns: int = option(3, "timed turns of each measurement")
    disk: float = option(0.0, "MB/s of the disk where this is known; 0: measured in the working folder")
    json: str = option("", "write machine, command and rows here as well")


def bench(options: SuperbBench) -> None:
    """A row for each task, and their sum."""
    place = pick_device(options.device)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    config = EncoderConfig((80, options.input_frames), tuple(options.patch_size), 1, *ENCODERS[options.size])
    model = M2DFeatures(Encoder(config), LogMelConfig(), -7.1, 4.2).eval().to(place)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        disk = options.disk or disk_rate(Path(folder, "disk"))
    rows = []
    for name in options.tasks:
        settings = read_settings(CONF, [], name)
        batch = next(data_settings(settings)[key] for key in ("train_batch_size", "batch_size")
                     if key in data_settings(settings))
        network, head = measured(model, SETS[name].clip_s, batch, options, place)
        rows.append(row(name, settings, batch, network=network, head=head, disk=disk,
                        bytes_per_s=4 * model.n_layers * model.dim * model.sample_rate / model.samples_per_frame,
                        rates=options.rates))
    total = {key: sum(line[key] for line in rows) for key in rows[0] if key.endswith(("_h", "_gb", "hours"))}
    leave({**machine(place), "disk": f"{disk:.0f} MB/s", "learning rates": options.rates},
          [*rows, {"task": "all", **total}], COLUMNS, options.json)


def measured(model: M2DFeatures, clip_s: float, batch: int, options: SuperbBench,
             place: torch.device) -> tuple[float, float]:
    """Seconds of audio that the network takes in a second, and seconds of a step of the head on `batch` clips."""
    clips = [0.1 * torch.randn(round(clip_s * model.sample_rate), device=place)] * (1 if place.type == "cpu" else batch)
    with torch.inference_mode():
        layers = model(clips).layers
    layers = [torch.randn(batch, *layer.shape[1:], device=place) for layer in layers]  # [B, T, D]
    head = Head(len(layers), model.dim).to(place)
    optimiser = torch.optim.Adam(head.parameters())
    targets = torch.zeros(batch, dtype=torch.int64, device=place)

    @torch.inference_mode()
    def encode() -> None:
        model(clips)

    def step() -> None:
        optimiser.zero_grad()
        F.cross_entropy(head(layers), targets).backward()
        optimiser.step()

    clock = "cpu" if place.type == "cpu" and options.threads == 1 else "wall"
    times = medians(in_turns({"network": encode, "head": step}, options.turns, place, clock=clock))
    return len(clips) * clip_s / times["network"], times["head"]


class Head(nn.Module):
    """What s3prl trains on utterances: a weighted sum of L layers `[B, T, D]`, a projection, its mean, classes."""

    def __init__(self, layers: int, width: int):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.project, self.classify = nn.Linear(width, 256), nn.Linear(256, CLASSES)

    def forward(self, layers: list[Tensor]) -> Tensor:
        """Logits `[B, CLASSES]`."""
        stacked = torch.stack(layers)  # [L, B, T, D]
        summed = (self.weights.softmax(0).view(-1, 1, 1, 1) * stacked).sum(0)
        return self.classify(self.project(summed).mean(1))


def row(name: str, settings: dict[str, Any], batch: int, *, network: float, head: float, disk: float,
        bytes_per_s: float, rates: int) -> dict[str, Any]:
    """The hours of one task.

    Args:
        network: seconds of audio encoded in a second.
        head: seconds of a step of one batch.
        disk: MB/s.
        bytes_per_s: of the features of a second of audio.
        rates: learning rates in the sweep.
    """
    audio, runner = SETS[name], settings["runner"]
    steps = runner["total_steps"] * runner["gradient_accumulate_steps"]
    trained = steps * batch * audio.clip_s / 3600
    heard = audio.runs * (trained + runner["total_steps"] // runner["eval_step"] * audio.dev + audio.test)
    new = audio.runs * trained * audio.new
    kept = audio.dev + audio.test + audio.train * (audio.new < 1)
    heads = audio.runs * steps * head / 3600
    once = heard / network + heads
    first, each = kept / network, new / network + (heard - new) * bytes_per_s / (disk * 1e6) + heads
    return {"task": TASKS.get(name).title, "heard_h": heard, "audio_h": audio.train + audio.dev + audio.test,
            "network_x": network, "head_ms": 1e3 * head,
            "features_gb": kept * 3600 * bytes_per_s / 1e9,
            "hours": once, "from_disk_h": first + each,
            "sweep_h": rates * once, "sweep_from_disk_h": first + rates * each}


if __name__ == "__main__":
    run(SuperbBench, bench, __doc__)
