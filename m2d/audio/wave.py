"""Audio files to mono waveforms: any format and rate libsndfile knows, decoded only where asked for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile
import soxr

from m2d.audio.containers import ContainerError, read_entry, split_reference
from m2d.common.errors import UserError

EXTENSIONS = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".oga", ".aiff", ".aif", ".au", ".sph", ".m4a"})
"""File names taken for audio when a folder is searched, in lower case."""

HEADER_TOLERANCE_S = 0.1
"""Seconds by which a header may promise too much: those of mp3 and ogg files count codec padding or estimate."""


class AudioError(UserError):
    """An audio file that is missing, empty, cut off or not audio; the message names the file and the reason."""


def read_audio(path: str | Path, sample_rate: int = 16000, start: float = 0.0,
               duration: float | None = None) -> np.ndarray:
    """Samples `[N]` float32 of a file, or of `duration` seconds of it from `start`, as the mean of its channels.

    The path may name an entry of a larger file (`m2d.audio.containers`).
    Only the part asked for is decoded; other rates are resampled by soxr. A part that reaches beyond the end of the
    file is cut there.

    Raises `AudioError` for a file that is missing, not audio, without samples, shorter than its header says,
    with samples that are not finite numbers, or that ends before `start`.
    """
    with _open(path) as file:
        rate, total = file.samplerate, file.frames
        first = round(start * rate)
        if first >= total:
            raise AudioError(f"{path}: has {total / rate:.2f} s of audio, nothing at {start:.2f} s")
        count = total - first if duration is None else min(total - first, max(1, round(duration * rate)))
        try:
            file.seek(first)
            samples = file.read(count, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioError(f"{path}: damaged audio ({_reason(error)})") from error
    if len(samples) < count - HEADER_TOLERANCE_S * rate:
        raise AudioError(f"{path}: cut off: {len(samples)} of {count} samples could be read")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise AudioError(f"{path}: holds samples that are not finite numbers")
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate)
    return np.ascontiguousarray(mono, dtype=np.float32)


def audio_files(folder: str | Path) -> list[str]:
    """Audio files below a folder, by their ending: sorted relative paths with `/`.

    Links are followed; hidden files and folders (`._x.wav` of macOS) are left out.
    """
    found = []
    for base, directories, names in os.walk(folder, followlinks=True):
        directories[:] = [name for name in directories if not name.startswith(".")]
        found += [Path(base, name).relative_to(folder).as_posix() for name in names
                  if not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS]
    return sorted(found)


def audio_duration(path: str | Path) -> float:
    """Length of a file in seconds, from its header. Raises `AudioError` when the file can't be opened as audio."""
    with _open(path) as file:
        return file.frames / file.samplerate


def _open(path: str | Path) -> soundfile.SoundFile:
    entry = split_reference(path)
    if entry is None:
        if not Path(path).is_file():
            raise AudioError(f"{path}: no such audio file")
        if Path(path).stat().st_size == 0:
            raise AudioError(f"{path}: empty file")
    try:
        file = soundfile.SoundFile(str(path) if entry is None else read_entry(*entry))
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: not readable as audio ({_reason(error)})") from error
    except ContainerError as error:
        raise AudioError(str(error)) from error
    if file.frames <= 0:
        file.close()
        raise AudioError(f"{path}: no samples in it")
    return file


def _reason(error: soundfile.LibsndfileError) -> str:
    return error.error_string.strip().rstrip(".") or "the decoder gave up"
