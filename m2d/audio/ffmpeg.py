"""Sound that libsndfile can't read (AAC, WMA, WebM, ...), decoded by FFmpeg through PyAV, the extra 'ffmpeg'."""

import io
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream
    from av.container import InputContainer

EXTENSIONS = frozenset({".m4a", ".mp4", ".aac", ".wma", ".webm", ".mka", ".mkv", ".amr", ".3gp",
                        ".g722", ".gsm"})
"""Extensions that only FFmpeg reads, in lower case."""

RAW = {".g722": "g722", ".gsm": "gsm"}
"""FFmpeg's names of the formats without a header, which only the ending of a name tells."""

CONTAINERS = "mov,matroska,aac,asf,ogg,amr,mp3,wav,flac,g722,gsm"
"""FFmpeg demuxers that may be used: none for play lists, which refer to other files."""

PREROLL_S = 0.2
"""Seconds decoded before a part and dropped: AAC and Opus decoders need up to 80 ms to converge."""


class Header(NamedTuple):
    """Header of an audio file."""

    rate: int
    samples: int | None  # None if the container does not say
    is_estimate: bool  # estimated from the bit rate


def probe(source: str | io.BytesIO) -> Header:
    """Header of a file or its content. Raises ImportError without PyAV, ValueError if there is no readable audio."""
    with _open(source) as container:
        return _header(container, _sound(container))


def decode(source: str | io.BytesIO, start: int, count: int | None) -> np.ndarray:
    """`count` samples (None: all that are left) `[N, C]` float32 from sample `start` on; fewer where the file ends.

    Decoding begins at a key frame before `start`. Positions are as exact as the container has them: to the sample, to
    the millisecond in WebM and Matroska. Raises as `probe`, also for damaged sound.
    """
    import av

    with _open(source) as container:
        stream = _sound(container)
        rate = stream.rate
        origin = stream.start_time or 0
        base = stream.time_base or Fraction(1, rate)
        if start > PREROLL_S * rate:
            container.seek(origin + int((start / rate - PREROLL_S) / base), stream=stream)
        to_float = av.AudioResampler(format="fltp")
        blocks: list[np.ndarray] = []
        first: int | None = None  # position of the first sample that was decoded
        have = 0
        try:
            for frame in container.decode(stream):
                if first is None:
                    first = 0 if start <= PREROLL_S * rate else round((frame.pts - origin) * base * rate)
                for part in to_float.resample(frame):
                    blocks.append(part.to_ndarray())
                    have += blocks[-1].shape[1]
                if count is not None and first + have >= start + count:
                    break
        except av.FFmpegError as error:
            raise ValueError(_reason(error)) from error
    if not blocks:
        return np.zeros((0, 1), np.float32)
    samples = np.concatenate(blocks, axis=1).T
    skip = max(0, start - (first or 0))
    return samples[skip:] if count is None else samples[skip:skip + count]


def _open(source: str | io.BytesIO) -> "InputContainer":
    import av

    try:
        if isinstance(source, io.BytesIO):
            source.seek(0)
        place = source if isinstance(source, io.BytesIO) else f"file:{Path(source).absolute()}"
        name = None if isinstance(source, io.BytesIO) else RAW.get(Path(source).suffix.lower())
        return av.open(place, format=name, options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"})
    except (av.FFmpegError, ValueError) as error:
        raise ValueError(_reason(error)) from error


def _sound(container: "InputContainer") -> "AudioStream":
    stream = next(iter(container.streams.audio), None)
    if stream is None or stream.codec_context is None or not stream.rate:  # no sound, or of a codec it does not know
        raise ValueError("no sound in it")
    return stream


def _header(container: "InputContainer", stream: "AudioStream") -> Header:
    seconds = None
    if stream.duration is not None and stream.time_base is not None:
        seconds = stream.duration * stream.time_base
    elif container.duration is not None:
        seconds = Fraction(container.duration, 1_000_000)
    return Header(stream.rate, None if seconds is None else round(seconds * stream.rate),
                  container.format.name in ("aac", "mp3", "amr", "g722", "gsm"))


def _reason(error: "av.FFmpegError | ValueError") -> str:
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".")
