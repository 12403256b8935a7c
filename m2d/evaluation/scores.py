"""Scores: confidence intervals over seeds, mean average precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats
from sklearn.metrics import average_precision_score


def interval(scores: Sequence[float]) -> tuple[float, float | None]:
    """Mean and half-width of its 95% confidence interval (Student's t); None for a single score."""
    mean = float(np.mean(scores))
    if len(scores) < 2:
        return mean, None
    error = np.std(scores, ddof=1) / len(scores) ** 0.5
    return mean, float(stats.t.ppf(0.975, len(scores) - 1) * error)


def mean_average_precision(targets: np.ndarray, scores: np.ndarray) -> float:
    """mAP in 0..1 of `scores` `[N, C]` against `targets` `[N, C]` of 0 and 1: AudioSet's measure.

    Classes without a positive clip are left out of the mean. Raises ValueError if no class has a positive.
    """
    known = targets.any(0)
    if not known.any():
        raise ValueError("no class has a positive clip")
    return float(average_precision_score(targets[:, known], scores[:, known]))
