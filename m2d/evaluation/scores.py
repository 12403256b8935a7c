"""Measures of a classifier on tested clips, in %: values over seeds, intervals over seeds and over clips."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special, stats
from sklearn import metrics

RESAMPLES = 1000
"""Bootstrap resamples of the tested clips."""
MIN_RESAMPLES = 100
BUDGET = 1e8
"""Resamples x clips x classes x seeds for mAP and ROC AUC, about 20 s: larger tasks get fewer resamples for these two,
and no interval below `MIN_RESAMPLES`."""


def interval(scores: Sequence[float]) -> tuple[float, float | None]:
    """Mean and half-width of its 95% confidence interval (Student's t); None for a single score."""
    mean = float(np.mean(scores))
    if len(scores) < 2:
        return mean, None
    error = np.std(scores, ddof=1) / len(scores) ** 0.5
    return mean, float(stats.t.ppf(0.975, len(scores) - 1) * error)


def probabilities(logits: np.ndarray, multilabel: bool) -> np.ndarray:
    """Class probabilities of logits `[..., C]`."""
    return special.expit(logits) if multilabel else special.softmax(logits, axis=-1)


def mean_average_precision(targets: np.ndarray, scores: np.ndarray) -> float:
    """AudioSet's mAP in 0..1 of `scores` for `targets` `[N, C]`, over classes with positives; ValueError if none."""
    known = targets.any(0)
    if not known.any():
        raise ValueError("no class has a positive clip")
    return float(metrics.average_precision_score(targets[:, known], scores[:, known]))


def main_score(targets: np.ndarray, scores: np.ndarray, multilabel: bool) -> float:
    """The score that tables show and validation chooses by, in 0..1: accuracy, or mAP of a multi-label task."""
    if multilabel:
        return mean_average_precision(targets, scores)
    return float((scores.argmax(1) == targets.argmax(1)).mean())


def measures(targets: np.ndarray, scores: np.ndarray, multilabel: bool, seed: int = 0) -> dict[str, dict[str, float]]:
    """Each measure's `value` in %, the mean over seeds, and `low`, `high` of its 95% interval over clips (bootstrap).

    Accuracy, macro F1 (at a probability of 0.5 for several labels), mAP, ROC AUC (macro); for two classes sensitivity
    and specificity, of which the rarer class is the positive one. A class without positive clips has no mAP, AUC, F1.

    Args:
        targets: `[N, C]` of 0 and 1.
        scores: probabilities of each seed's classifier, `[S, N, C]`.
        multilabel: whether a clip has several classes.
        seed: of the resamples.
    """
    draws = np.random.default_rng(seed).multinomial(len(targets), np.full(len(targets), 1 / len(targets)), RESAMPLES)
    weights = np.concatenate([np.ones((1, len(targets))), draws]).astype(np.float32)  # the first: every clip once
    ranked = int(min(RESAMPLES, BUDGET / scores.size))
    rank_weights = weights[:1 + (ranked if ranked >= MIN_RESAMPLES else 0)]
    by_seed = [_decisions(targets, one, multilabel, weights) | _rankings(targets, one, rank_weights) for one in scores]
    found = {}
    for name in by_seed[0]:
        values = 100 * np.mean([one[name] for one in by_seed], axis=0)
        if np.isfinite(values[0]):
            low, high = np.nanpercentile(values[1:], [2.5, 97.5]) if len(values) > 1 else (None, None)
            found[name] = {"value": float(values[0]), "low": low, "high": high}
    return found


def class_scores(targets: np.ndarray, scores: np.ndarray, classes: list[str],
                 multilabel: bool) -> dict[str, dict[str, Any]]:
    """Per class the tested `clips`, and `precision`, `recall`, `f1` in %, means over seeds. Arguments as `measures`."""
    tables = [metrics.precision_recall_fscore_support(targets, _decided(one, multilabel), zero_division=0)
              for one in scores]
    precision, recall, f1, clips = np.mean(tables, axis=0)
    return {name: {"clips": int(clips[c]), "precision": 100 * precision[c], "recall": 100 * recall[c],
                   "f1": 100 * f1[c]} for c, name in enumerate(classes)}


def _decided(scores: np.ndarray, multilabel: bool) -> np.ndarray:
    """`[N, C]` of 0 and 1: the classes above 0.5, or the most likely one."""
    return (scores > 0.5 if multilabel else np.eye(scores.shape[1])[scores.argmax(1)]).astype(np.float32)


def _decisions(targets: np.ndarray, scores: np.ndarray, multilabel: bool,
               weights: np.ndarray) -> dict[str, np.ndarray]:
    """Measures of the named classes, in 0..1, under each row of clip weights `[R, N]`, `[R]` each. Here and in
    `_rankings` scikit-learn's functions give the same for one row (the tests compare them), but would need minutes for
    a thousand.
    """
    decided = _decided(scores, multilabel)
    hits, positives, chosen = (weights @ part for part in (targets * decided, targets, decided))  # [R, C]
    found = {} if multilabel else {"accuracy": hits.sum(1) / positives.sum(1)}
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # means over no class
        found["macro F1"] = np.nanmean(np.where(positives > 0, 2 * hits / (positives + chosen), np.nan), axis=1)
        if targets.shape[1] == 2 and not multilabel:
            rare = int(targets[:, 1].sum() <= targets[:, 0].sum())
            recall = hits / positives
            found["sensitivity"], found["specificity"] = recall[:, rare], recall[:, 1 - rare]
    return found


def _rankings(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """mAP and ROC AUC, means over the classes that have both kinds of clips, under each row of weights `[R, N]`."""
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        ranked = [_ranking(targets[:, c], scores[:, c], weights) for c in np.flatnonzero(targets.any(0))]
        return dict(zip(("mAP", "ROC AUC"), np.nanmean(ranked, axis=0), strict=True))


def _ranking(target: np.ndarray, score: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and area under the ROC curve of one class under each row of weights `[R, N]`, `[R]` each. Clips
    of equal score count together. NaN if no positive, or for the area no negative, has a weight.
    """
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)
    sorted_weights = weights[:, order]
    found = np.cumsum(sorted_weights, axis=1)[:, last]  # whole numbers, exact in float32
    hits = np.cumsum(sorted_weights * target[order], axis=1)[:, last]
    false = found - hits
    precision = np.divide(hits, found, out=np.zeros_like(hits), where=found > 0)
    gained = np.diff(hits, axis=1, prepend=0)
    area = (np.diff(false, axis=1, prepend=0) * (hits - gained / 2)).sum(1, dtype=np.float64)
    return ((gained * precision).sum(1, dtype=np.float64) / hits[:, -1],
            area / (hits[:, -1].astype(np.float64) * false[:, -1]))
