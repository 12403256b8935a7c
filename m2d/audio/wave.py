"""Audio files to mono waveforms: any format and rate that libsndfile or FFmpeg reads; parts are decoded alone."""

import io
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import soxr

from m2d.audio import ffmpeg
from m2d.audio.containers import ContainerError, read_entry, split_reference
from m2d.common.errors import UserError

EXTENSIONS = ffmpeg.EXTENSIONS | {".wav", ".flac", ".mp3", ".ogg", ".opus", ".oga", ".aiff", ".aif", ".au", ".sph"}
"""Extensions of audio files, in lower case."""

HEADER_TOLERANCE_S = 0.1
"""Seconds by which a header may overstate the length: in mp3 and ogg it includes codec padding or is estimated."""


class AudioError(UserError):
    """An audio file that is missing, empty, cut off or not audio; the message names the file and the reason."""


def read_audio(path: str | Path, sample_rate: int = 16000, start: float = 0.0,
               duration: float | None = None) -> np.ndarray:
    """Samples `[N]` float32 of a file, or of `duration` seconds of it from `start`, as the mean of its channels.

    The path may name an entry of a larger file (`m2d.audio.containers`).
    Only the requested part is decoded; other rates are resampled by soxr. A part that exceeds the file is cut at its
    end.

    Raises `AudioError` for a file that is missing, not audio, without samples, shorter than its header says,
    with samples that are not finite numbers, or that ends before `start`.
    """
    with _open(path) as (header, read):
        rate = header.rate
        first, count = round(start * rate), None if duration is None else max(1, round(duration * rate))
        if header.samples is not None and not header.is_estimate:
            if first >= header.samples:
                raise AudioError(f"{path}: has {header.samples / rate:.2f} s of audio, nothing at {start:.2f} s")
            count = min(header.samples - first, count or header.samples)
        try:
            samples = read(first, count)
        except (soundfile.LibsndfileError, ValueError) as error:
            raise AudioError(f"{path}: damaged audio ({_reason(error)})") from error
    if not len(samples):
        raise AudioError(f"{path}: no samples at {start:.2f} s")
    if header.samples is not None and not header.is_estimate and len(samples) < count - HEADER_TOLERANCE_S * rate:
        raise AudioError(f"{path}: cut off: {len(samples)} of {count} samples could be read")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise AudioError(f"{path}: holds samples that are not finite numbers")
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate)
    return np.ascontiguousarray(mono, dtype=np.float32)


def audio_files(folder: str | Path, extensions: Collection[str] = EXTENSIONS) -> list[str]:
    """Sorted paths, relative with `/`, of the audio files below a folder, recognised by their extension.

    Links are followed, except to a folder that they are in; hidden files and folders (`._x.wav` of macOS) are left out.
    """
    found = []
    for base, directories, names in os.walk(folder, followlinks=True):
        directories[:] = [name for name in directories
                          if not name.startswith(".") and not _leads_back(os.path.join(base, name))]
        below = os.path.relpath(base, folder).replace(os.sep, "/")
        found += [name if below == "." else f"{below}/{name}" for name in names
                  if not name.startswith(".") and os.path.splitext(name)[1].lower() in extensions]
    return sorted(found)


def _leads_back(folder: str) -> bool:
    """Whether a folder is a link to one of its parents."""
    return os.path.islink(folder) and f"{os.path.realpath(os.path.dirname(folder))}{os.sep}".startswith(
        f"{os.path.realpath(folder)}{os.sep}")


def audio_duration(path: str | Path) -> float:
    """Length of a file in seconds, from its header. Raises `AudioError` when the file can't be opened as audio."""
    with _open(path) as (header, read):
        if header.samples is not None and not header.is_estimate:
            return header.samples / header.rate
        try:
            return len(read(0, None)) / header.rate
        except ValueError as error:
            raise AudioError(f"{path}: damaged audio ({_reason(error)})") from error


@contextmanager
def _open(path: str | Path) -> Iterator[tuple[ffmpeg.Header, Callable[[int, int | None], np.ndarray]]]:
    """The header and a reader (first sample, count) -> `[N, C]`: libsndfile's, or FFmpeg's for what it can't read."""
    source = _source(path)
    reason = "libsndfile does not read this format: pip install 'm2d[ffmpeg]' for FFmpeg"
    if Path(path).suffix.lower() not in ffmpeg.EXTENSIONS:
        try:
            with soundfile.SoundFile(source) as file:
                if file.frames <= 0:
                    raise AudioError(f"{path}: no samples in it")
                if file.format != "RAW":  # what libsndfile makes of any bytes called .au
                    yield ffmpeg.Header(file.samplerate, file.frames, False), partial(_read_part, file)
                    return
        except soundfile.LibsndfileError as error:
            reason = _reason(error)
    try:
        header = ffmpeg.probe(source)
    except ImportError:
        raise AudioError(f"{path}: not readable as audio ({reason})") from None
    except ValueError as error:
        raise AudioError(f"{path}: not readable as audio ({_reason(error)})") from None
    yield header, partial(ffmpeg.decode, source)


def _source(path: str | Path) -> str | io.BytesIO:
    """The name of a plain file, or the content of an entry of a larger one."""
    entry = split_reference(path)
    if entry is not None:
        try:
            return read_entry(*entry)
        except ContainerError as error:
            raise AudioError(str(error)) from error
    if not Path(path).is_file():
        raise AudioError(f"{path}: no such audio file")
    if Path(path).stat().st_size == 0:
        raise AudioError(f"{path}: empty file")
    if not os.access(path, os.R_OK):
        raise AudioError(f"{path}: its permissions do not let it be read")
    return str(path)


def _read_part(file: soundfile.SoundFile, first: int, count: int | None) -> np.ndarray:
    file.seek(first)
    return file.read(-1 if count is None else count, dtype="float32", always_2d=True)


def _reason(error: Exception) -> str:
    return getattr(error, "error_string", str(error)).strip().rstrip(".") or "the decoder gave up"
