"""Diarization error rate of s3prl's frame-wise speaker activities, as SUPERB reports it.

NIST's rate without collar and with overlapped speech (Fiscus et al. 2006): missed, false and confused speaker time over
the speaker time of the reference. Of SUPERB's ten combinations of threshold and median filter the lowest rate counts.
"""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.signal import medfilt

from m2d.common.errors import UserError

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
MEDIANS = (1, 11)


class Turn(NamedTuple):
    """Speech of one speaker; seconds."""

    start: float
    end: float
    speaker: str


def read_rttm(path: Path) -> dict[str, list[Turn]]:
    """Recording -> its turns, from lines `SPEAKER RECORDING 1 START DURATION <NA> <NA> SPEAKER <NA>`."""
    turns: dict[str, list[Turn]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        try:
            start, duration = float(words[3]), float(words[4])
            turns.setdefault(words[1], []).append(Turn(start, start + duration, words[7]))
        except (IndexError, ValueError) as error:
            raise UserError(f"{path}:{number}: not a line 'SPEAKER RECORDING 1 START DURATION ... SPEAKER'") from error
    return turns


def speaker_turns(activity: np.ndarray, threshold: float, median: int, seconds_per_frame: float) -> list[Turn]:
    """Turns, to 10 ms, of speakers whose probabilities `[T, S]` exceed the threshold, after a median filter in time."""
    active = (activity > threshold).astype(float)
    if median > 1:
        active = medfilt(active, (median, 1))
    turns = []
    for speaker, frames in enumerate(active.T):
        (changes,) = np.nonzero(np.diff(np.pad(frames, 1)))
        for start, end in zip(changes[::2], changes[1::2], strict=True):
            begin = round(start * seconds_per_frame, 2)
            turns.append(Turn(begin, begin + round((end - start) * seconds_per_frame, 2), str(speaker)))
    return turns


def error_time(reference: list[Turn], hypothesis: list[Turn]) -> tuple[float, float]:
    """Seconds of missed, false and confused speaker time of one recording, and the speaker time of its reference."""
    bounds = np.unique([time for turn in (*reference, *hypothesis) for time in (turn.start, turn.end)])
    durations = np.diff(bounds)
    middles = bounds[:-1] + durations / 2
    truth, guess = _activity(reference, middles), _activity(hypothesis, middles)  # [speakers, intervals]
    together = (truth * durations) @ guess.T
    correct = together[linear_sum_assignment(together, maximize=True)].sum()
    spoken, guessed = truth.sum(0), guess.sum(0)
    return float((np.maximum(spoken, guessed) * durations).sum() - correct), float((spoken * durations).sum())


def _activity(turns: list[Turn], times: np.ndarray) -> np.ndarray:
    speakers = sorted({turn.speaker for turn in turns})
    active = np.zeros((len(speakers), len(times)))
    for turn in turns:
        active[speakers.index(turn.speaker), (times > turn.start) & (times < turn.end)] = 1
    return active


def diarization_error_rate(pairs: Iterable[tuple[list[Turn], list[Turn]]]) -> float:
    """The rate over all recordings, given as pairs of reference and hypothesis."""
    errors, spoken = np.sum([error_time(*pair) for pair in pairs], axis=0)
    return float(errors / spoken)


def lowest_rate(predictions: Path, rttm: Path, seconds_per_frame: float) -> float:
    """The lowest rate over SUPERB's thresholds and median filters.

    Args:
        predictions: folder of `RECORDING.h5`, each with the probabilities `T_hat` `[T, S]`.
        rttm: the reference.

    Raises `UserError` for a recording of the reference without predictions.
    """
    import h5py

    reference = read_rttm(rttm)
    activities = {}
    for recording in reference:
        path = predictions / f"{recording}.h5"
        if not path.is_file():
            raise UserError(f"{rttm}: recording {recording} has no predictions in {predictions}")
        with h5py.File(path) as stored:
            activities[recording] = stored["T_hat"][:]
    return min(
        diarization_error_rate((turns, speaker_turns(activities[recording], threshold, median, seconds_per_frame))
                               for recording, turns in reference.items())
        for threshold, median in itertools.product(THRESHOLDS, MEDIANS))
