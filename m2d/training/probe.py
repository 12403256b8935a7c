"""What this machine does: rates taken in about a minute, from which the hours of each stage follow."""

import dataclasses
import io
import logging
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch

from m2d.audio.logmel import LogMel, LogMelConfig
from m2d.audio.wave import audio_duration
from m2d.common.errors import UserError
from m2d.common.files import read_json, write_json
from m2d.nn import build_objective
from m2d.nn.config import ModelConfig
from m2d.nn.summary import summarise

LOG = logging.getLogger(__name__)
EACH_S = 5.0  # of each measurement, at least one call
CLIP_S, RATE = 10, 16000
DISK_BYTES = 256 << 20
GPU_SAMPLES = 32


@dataclass(frozen=True)
class Rates:
    """Of one device and one core; `teacher` is None where transformers is not installed."""

    device: str
    load: float  # of the machine before
    disk: float  # MB/s read from the disk of the working folder
    headers: float  # audio files a second whose length is read
    decode: float  # FLAC of 16 kHz, x real time of a core
    logmel: float  # x real time of a core
    teacher: float | None  # HuBERT Base to layer 9, x real time of the device
    tflops: float  # of a step of pre-training on the device


def rates(path: str, model: ModelConfig) -> Rates:
    """The rates kept in a JSON file; they are taken, with a step of `model`, where it is empty or not there."""
    if not path:
        return take(model)
    if not os.path.isfile(path) or not os.path.getsize(path):
        write_json(path, dataclasses.asdict(take(model)))
    try:
        return Rates(**read_json(path))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: not a file of measured rates ({error}): remove it, it will be made anew") from error


def take(model: ModelConfig) -> Rates:
    """Measure."""
    LOG.info("measuring this machine (disk, decoding, log-mels, teacher, step): about a minute")
    load = os.getloadavg()[0]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()}, {os.cpu_count()} CPUs"
    wave = np.random.default_rng(0).standard_normal(CLIP_S * RATE).astype(np.float32) / 10
    flac = io.BytesIO()
    soundfile.write(flac, wave, RATE, format="FLAC")
    with tempfile.TemporaryDirectory(dir=".") as folder:
        clip = Path(folder, "clip.flac")
        clip.write_bytes(flac.getvalue())
        headers = 1 / _seconds(lambda: audio_duration(clip))
        decode = CLIP_S / _seconds(lambda: soundfile.read(clip, dtype="float32"))
        disk = _disk(Path(folder, "disk"))
    logmel, tensor = LogMel(LogMelConfig()), torch.from_numpy(wave)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the jobs of stage 1 work
    try:
        with torch.inference_mode():
            logmels = CLIP_S / _seconds(lambda: logmel(tensor))
    finally:
        torch.set_num_threads(threads)
    return Rates(name, load, disk, headers, decode, logmels, _teacher(tensor, device), _step(model, device))


def _seconds(work: Callable[[], object], device: torch.device | None = None) -> float:
    """Of one call, after a first that does not count where there is time."""
    def finished() -> float:
        if device is not None and device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.monotonic()

    start = finished()
    work()
    first = finished() - start
    if first > EACH_S:
        return first
    start, calls = finished(), 0
    while calls == 0 or finished() - start < EACH_S - first:
        work()
        calls += 1
    return (finished() - start) / calls


def _disk(path: Path) -> float:
    """MB/s of a file that was written and dropped from the page cache."""
    block = os.urandom(1 << 20)
    with open(path, "wb") as stream:
        for _ in range(DISK_BYTES >> 20):
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())
    with open(path, "rb", buffering=0) as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.monotonic()
        while stream.read(1 << 20):
            pass
        return DISK_BYTES / 1e6 / (time.monotonic() - start)


def _teacher(wave: torch.Tensor, device: torch.device) -> float | None:
    try:
        import transformers

        from m2d.teacher.speech_model import SpeechTeacher
    except ImportError:
        return None
    teacher = SpeechTeacher(transformers.HubertModel(transformers.HubertConfig()),
                            transformers.Wav2Vec2FeatureExtractor(), 9).to(device)
    clips = [wave] * (8 if device.type == "cuda" else 1)
    return CLIP_S * len(clips) / _seconds(lambda: teacher(clips), device)


def _step(model: ModelConfig, device: torch.device) -> float:
    """TFLOP/s of forward and backward passes: bf16 and `GPU_SAMPLES` at a time on a GPU, one in float32 elsewhere."""
    on_gpu = device.type == "cuda"
    size, encoder = GPU_SAMPLES if on_gpu else 1, model.encoder
    objective = build_objective(model).to(device)
    x = torch.randn(size, encoder.in_channels, *encoder.input_size, device=device)
    noise = torch.rand(size, encoder.grid.n_patches, device=device)
    teacher = [torch.randn(size, encoder.grid.n_time, model.teacher_width, device=device)] if model.lambda_off else []

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=on_gpu):
            loss = objective(x, *teacher, mask_noise=noise).loss
        loss.backward()
        objective.zero_grad(set_to_none=True)

    return size * summarise(model).step_flops / _seconds(step, device) / 1e12
