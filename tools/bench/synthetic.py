"""Data of the benchmarks: random clips, their packed stores, and the same as one `.npy` file per clip."""

from pathlib import Path

import numpy as np
import soundfile

from m2d.data.merge import merge_index
from m2d.data.writer import PackedWriter

BINS, WIDTH = 80, 768
OUTLIERS = 8
"""Dimensions of the teacher's frames that may be larger than the others: the largest decides int8's steps."""


def logmel_frames(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Random log-mel `[T, 80]` float32 with the mean and deviation of speech."""
    return (rng.standard_normal((frames, BINS)) * 4.2 - 7.1).astype(np.float32)


def teacher_frames(rng: np.random.Generator, frames: int, outlier: float = 5.0) -> np.ndarray:
    """Random teacher frames `[T, 768]` float32, a few dimensions `outlier` times as large as the others."""
    scale = np.ones(WIDTH)
    scale[:OUTLIERS] = outlier
    return (rng.standard_normal((frames, WIDTH)) * scale).astype(np.float32)


def write_folder(directory: Path, clips: int, frames: int) -> None:
    """`speech`, `noise` and `teacher` as people keep them: `NAME/CLIP.npy`, float32, log-mel `[80, T]`."""
    rng = np.random.default_rng(0)
    for name, make, length in (("speech", logmel_frames, frames), ("noise", logmel_frames, frames),
                               ("teacher", teacher_frames, frames // 2)):
        (directory / name).mkdir(parents=True, exist_ok=True)
        for clip in range(clips):
            rows = make(rng, length)
            np.save(directory / name / f"{clip:06d}.npy", rows if name == "teacher" else np.ascontiguousarray(rows.T))


def write_stores(directory: Path, folder: Path) -> None:
    """The clips of `write_folder` as packed stores `speech`, `noise`, `teacher_float16` and `teacher_int8`."""
    for source, name, dtype in (("speech", "speech", "float16"), ("noise", "noise", "float16"),
                                ("teacher", "teacher_float16", "float16"), ("teacher", "teacher_int8", "int8")):
        width = WIDTH if source == "teacher" else BINS
        with PackedWriter(directory / name, f"{name}.1", width, dtype) as writer:
            for path in sorted((folder / source).glob("*.npy")):
                rows = np.load(path)
                writer.append(path.stem, rows if source == "teacher" else rows.T)
        merge_index(directory / name)


def write_audio(directory: Path, seconds: list[float], sample_rate: int = 16000, suffix: str = ".wav") -> list[Path]:
    """Clips of noise with a slow envelope as 16-bit files, one of each length."""
    rng = np.random.default_rng(0)
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{clip:04d}{suffix}" for clip in range(len(seconds))]
    for path, length in zip(paths, seconds, strict=True):
        samples = round(length * sample_rate)
        envelope = 0.1 * (1.1 + np.sin(np.arange(samples) * 2 * np.pi * 3 / sample_rate))
        soundfile.write(path, rng.standard_normal(samples) * envelope, sample_rate, subtype="PCM_16")
    return paths
