"""The hours of each part of a recipe: its work over the rates of a machine."""

from m2d.common.progress import duration
from m2d.nn.config import ModelConfig
from m2d.nn.summary import Summary, encode_flops
from m2d.training.probe import Rates

CLIPS_PER_HOUR = 360  # of noise, 10 s each
FLAC_MB_PER_HOUR = 62.0  # LibriSpeech: 60 GB for 960 h
FRAMES_PER_S = 100
SUPERB_HOURS = {"pr": 111.4, "ks": 18.8, "ic": 19.0, "sid": 352.0, "er": 7.0}
"""Audio of train, dev and test parts: LibriSpeech's parts, 67,802 commands of 1 s, Lugosch et al. (2019), Nagrani et
al. (2017), 5,531 utterances of 4.5 s."""


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
