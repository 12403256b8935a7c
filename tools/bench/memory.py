"""Features as the README makes them: peak memory and CPU seconds of this process, on one long clip.

    python -m bench.memory [minutes=10 threads=1]
"""

import resource
import tempfile
import time
from dataclasses import dataclass

import torch

from bench.measure import machine
from bench.report import leave
from m2d import load_pretrained, save_pretrained
from m2d.audio.logmel import LogMelConfig
from m2d.common.cli import run
from m2d.common.options import option
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import ENCODERS, EncoderConfig
from m2d.pretrained.features import M2DFeatures

COLUMNS = {"what": "", "peak_mb": ".0f", "cpu_s": ".1f"}


@dataclass
class MemoryBench:
    minutes: float = option(10.0, "length of the clip")
    threads: int = option(1, "CPU threads")
    json: str = option("", "write machine, command and rows here as well")


def bench(options: MemoryBench) -> None:
    """A row for the model alone, and one after `model([wav])`, called without `no_grad` or `eval`."""
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        encoder = Encoder(EncoderConfig((80, 208), (80, 4), 1, *ENCODERS["base"]))
        save_pretrained(M2DFeatures(encoder, LogMelConfig(), -7.1, 4.2), folder)
        del encoder
        model = load_pretrained(folder)
    rows = [{"what": "ViT-Base, 80x208 in patches of 80x4", "peak_mb": peak_mb(), "cpu_s": 0.0}]
    start = time.process_time()
    out = model([torch.randn(round(options.minutes * 60 * model.sample_rate))])
    rows.append({"what": f"features of {options.minutes:g} minutes", "peak_mb": peak_mb(),
                 "cpu_s": time.process_time() - start})
    size = sum(layer.numel() * layer.element_size() for layer in (out.frames, *out.layers)) / 1e6
    about = {**machine(), "gradients": out.frames.requires_grad, "outputs": f"{size:.0f} MB"}
    leave(about, rows, COLUMNS, options.json)


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    run(MemoryBench, bench, __doc__)
