"""Speech with its phones: phone times (CTM tables) as one phone per teacher row."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from m2d.audio.wave import read_audio
from m2d.common.errors import UserError
from m2d.common.progress import progress
from m2d.data.datadir import DataDir

SILENCE = "SIL"
SAMPLE_RATE = 16000
HOP = 320

ROW_CENTRE = 200
"""Samples from a row's start to the time of its phone: the centre of HuBERT's receptive field of 400."""

Alignment = list[tuple[float, float, str]]
"""Phones of an utterance as (start, end, phone), in seconds, in order."""


def read_alignments(path: str | Path) -> dict[str, Alignment]:
    """Phones by utterance from a CTM file, or all `*.ctm` of a folder: lines `utterance channel start duration phone`.

    Raises `UserError` for a missing file and a line that is not of that form.
    """
    path = Path(path)
    files = sorted(path.glob("*.ctm")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise UserError(f"{path}: no such file, or no *.ctm in the folder")
    found: dict[str, Alignment] = {}
    for file in files:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            try:
                utterance, _, start, length, phone = line.split()
                found.setdefault(utterance, []).append((float(start), float(start) + float(length), phone))
            except ValueError as error:
                raise UserError(f"{file}: line {number}: not 'utterance channel start duration phone'") from error
    return {utterance: sorted(phones) for utterance, phones in found.items()}


def phone_set(alignments: Mapping[str, Alignment]) -> list[str]:
    """All phones that occur, silence included, in alphabetical order."""
    return sorted({SILENCE}.union(phone for phones in alignments.values() for _, _, phone in phones))


def frame_phones(alignment: Alignment, times: np.ndarray, phones: Sequence[str]) -> np.ndarray:
    """Index in `phones` of the phone that sounds at each of `times` `[T]` (seconds); between phones it is silence."""
    number = {phone: i for i, phone in enumerate(phones)}
    starts = np.array([start for start, _, _ in alignment])
    ends = np.array([end for _, end, _ in alignment])
    labels = np.array([number[phone] for _, _, phone in alignment])
    at = np.searchsorted(starts, times, side="right") - 1
    inside = (at >= 0) & (times < ends[at])
    return np.where(inside, labels[at], number[SILENCE])


@dataclass
class AlignedClip:
    """An utterance at 16 kHz: samples `[N]` and, for each teacher row, the number of its phone `[N // 320]`."""

    samples: np.ndarray
    phones: np.ndarray


def load_aligned(data: DataDir, alignments: Mapping[str, Alignment], limit: int | None = None) -> list[AlignedClip]:
    """The utterances of `data` that have phone times; of more than `limit`, that many at equal distances.

    Phones are numbered as `phone_set(alignments)` lists them. Raises `UserError` when no utterance has phone times.
    """
    utterances = [utterance for utterance in data.utterances if utterance in alignments]
    if not utterances:
        raise UserError(f"none of the {len(data)} utterances of the data directory has phone times: give the "
                        "alignments that were made with this corpus")
    if limit is not None and limit < len(utterances):
        utterances = [utterances[i * len(utterances) // limit] for i in range(limit)]
    phones = phone_set(alignments)

    def load(utterance: str) -> AlignedClip:
        source = data.source(utterance)
        samples = read_audio(source.path, SAMPLE_RATE, source.start, source.duration)
        times = (np.arange(len(samples) // HOP) * HOP + ROW_CENTRE) / SAMPLE_RATE
        return AlignedClip(samples, frame_phones(alignments[utterance], times, phones))

    with ThreadPoolExecutor() as pool:  # decoding releases the interpreter lock
        return list(progress(pool.map(load, utterances), "aligned speech", len(utterances)))
