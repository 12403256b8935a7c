"""Scores: confidence intervals over seeds, mean average precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats


def interval(scores: Sequence[float]) -> tuple[float, float | None]:
    """Mean and half-width of its 95% confidence interval (Student's t); None for a single score."""
    mean = float(np.mean(scores))
    if len(scores) < 2:
        return mean, None
    error = np.std(scores, ddof=1) / len(scores) ** 0.5
    return mean, float(stats.t.ppf(0.975, len(scores) - 1) * error)


def mean_average_precision(targets: np.ndarray, scores: np.ndarray) -> float:
    """mAP in 0..1 of `scores` `[N, C]` against `targets` `[N, C]` of 0 and 1: AudioSet's measure.

    Average precision of a class is the sum over its distinct scores, from the highest, of the precision at that
    threshold times the gain in recall. Classes without a positive clip have none and are left out of the mean.
    Raises ValueError if no class has a positive.
    """
    known = np.flatnonzero(targets.any(0))
    if not len(known):
        raise ValueError("no class has a positive clip")
    return float(np.mean([_average_precision(targets[:, c], scores[:, c]) for c in known]))


def _average_precision(target: np.ndarray, score: np.ndarray) -> float:
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(target[order] > 0)
    threshold = np.append(np.diff(score[order]) != 0, True)  # clips of equal score are found together
    hits, found = hits[threshold], np.flatnonzero(threshold) + 1
    return float(np.sum(hits / found * np.diff(hits, prepend=0)) / hits[-1])
