"""Rates of a machine, measured in about a minute, and the hours of a recipe's stages at these rates."""

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
from m2d.common.progress import duration
from m2d.nn import build_objective
from m2d.nn.config import ModelConfig
from m2d.nn.summary import Summary, encode_flops, summarise

LOG = logging.getLogger(__name__)
EACH_S = 5.0  # of each measurement, at least one call
CLIP_S, RATE = 10, 16000
DISK_BYTES = 256 << 20
GPU_SAMPLES = 32
CLIPS_PER_HOUR = 360  # of noise, 10 s each
FLAC_MB_PER_HOUR = 62.0  # LibriSpeech: 60 GB for 960 h
FRAMES_PER_S = 100
SUPERB_HOURS = {"pr": 111.4, "ks": 18.8, "ic": 19.0, "sid": 352.0, "er": 7.0}
"""Audio of train, dev and test parts: LibriSpeech's parts, 67,802 commands of 1 s, Lugosch et al. (2019), Nagrani et
al. (2017), 5,531 utterances of 4.5 s."""


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


def machine_rates(path: str, model: ModelConfig) -> Rates:
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
        disk = disk_rate(Path(folder, "disk"))
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


def disk_rate(path: Path) -> float:
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


def stage_hours(model: ModelConfig, summary: Summary, rates: Rates, *, epochs: int, samples: int, hours: float,
                noise_hours: float, jobs: int, gpus: int) -> list[tuple[str, str]]:
    """Rows of part and time; `noise_hours` is 0 without noise. `jobs` share the log-mels, `gpus` what follows."""
    audio, files = hours + noise_hours, samples + noise_hours * CLIPS_PER_HOUR
    cores = audio * 3600 * (1 / rates.decode + 1 / rates.logmel) / jobs
    disk = audio * FLAC_MB_PER_HOUR / rates.disk
    flops = gpus * rates.tflops * 1e12
    inputs = sum(SUPERB_HOURS.values()) * 3600 * FRAMES_PER_S / model.input_size[1]
    rows = [("time: headers of all files", duration(files / rates.headers)),
            (f"time: log-mels, {jobs} jobs", f"{duration(max(cores, disk))} ({'disk' if disk > cores else 'cores'})")]
    if model.lambda_off and rates.teacher:
        rows.append(("time: frames of HuBERT Base", duration(hours * 3600 / rates.teacher / gpus)))
    return [*rows, ("time: pre-training", duration(epochs * samples * summary.step_flops / flops)),
            ("time: features of SUPERB, once", duration(inputs * encode_flops(model) / flops))]
