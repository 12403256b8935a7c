"""mAP against the definition, term by term, and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from m2d.evaluation.scores import mean_average_precision


def by_definition(target, score):
    """Sum over thresholds of precision times gain in recall."""
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        found = score >= threshold
        recall = target[found].sum() / target.sum()
        total += target[found].mean() * (recall - recall_before)
        recall_before = recall
    return total


@pytest.mark.parametrize("decimals", [8, 1])  # 1: many clips of equal score
def test_map(decimals):
    random = np.random.default_rng(0)
    targets = (random.random((200, 7)) < [0.01, 0.1, 0.3, 0.5, 0.9, 0.05, 0.2]).astype(float)
    targets[3, 0] = 1
    scores = np.round(random.standard_normal((200, 7)) + 0.7 * targets, decimals)
    ours = mean_average_precision(targets, scores)
    assert ours == pytest.approx(np.mean([by_definition(targets[:, c], scores[:, c]) for c in range(7)]), abs=1e-12)
    assert ours == pytest.approx(average_precision_score(targets, scores, average="macro"), abs=1e-12)


def test_classes_without_a_positive_are_left_out():
    targets, scores = np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.1], [0.2, 0.8]])
    assert mean_average_precision(targets, scores) == 1.0
    with pytest.raises(ValueError):
        mean_average_precision(np.zeros((2, 2)), scores)
