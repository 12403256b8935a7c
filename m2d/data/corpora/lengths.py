"""Lengths of a corpus's recordings, from their headers, before feature extraction."""

from pathlib import Path

from m2d.audio.containers import split_reference
from m2d.audio.wave import AudioError, audio_duration
from m2d.common.progress import progress
from m2d.common.threads import in_threads
from m2d.data.corpora.faults import warn_of
from m2d.data.datadir import DataDir


def measure(data: DataDir) -> None:
    """Fill `utt2dur` if it is empty, except for recordings inside container files, which would have to be decoded.

    Files that can't be opened are logged and have no length; the feature stage skips them.
    """
    if data.utt2dur:
        return
    plain = [key for key, path in data.wav.items() if split_reference(path) is None]
    seconds: dict[str, float] = {}
    faults: list[str] = []
    found = in_threads(_duration, (data.wav[key] for key in plain))
    for key, length in progress(zip(plain, found, strict=True), "lengths", total=len(plain)):
        if isinstance(length, float):
            seconds[key] = length
        else:
            faults.append(str(length))
    warn_of(faults, f"{len(data.wav)} recordings")
    if not data.segments:
        data.utt2dur = seconds
        return
    for utterance, (recording, start, end) in data.segments.items():
        if recording in seconds:
            data.utt2dur[utterance] = (min(end, seconds[recording]) if end >= 0 else seconds[recording]) - start


def _duration(path: str) -> float | AudioError:
    try:
        return audio_duration(Path(path))
    except AudioError as error:
        return error
