"""mAP against the definition, term by term, and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, recall_score, roc_auc_score

from m2d.evaluation import scores as scores_module
from m2d.evaluation.scores import _decisions, _rankings, class_scores, mean_average_precision, measures, probabilities


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


def sample(classes, multilabel, clips=200):
    rng = np.random.default_rng(0)
    targets = (rng.random((clips, classes)) < 0.3) if multilabel else np.eye(classes)[rng.integers(0, classes, clips)]
    scores = probabilities(np.round(rng.standard_normal((clips, classes)) + targets, 1), multilabel)
    return targets.astype(np.float32), scores, rng.integers(0, 4, clips).astype(np.float32)


@pytest.mark.parametrize("classes, multilabel", [(5, False), (2, False), (4, True)])
def test_weighted_measures_are_scikit_learns(classes, multilabel):
    targets, scores, weights = sample(classes, multilabel)
    rows = np.stack([np.ones_like(weights), weights])
    found = _decisions(targets, scores, multilabel, rows) | _rankings(targets, scores, rows)
    for row, weight in enumerate([None, weights]):
        precision = average_precision_score(targets, scores, sample_weight=weight)
        assert found["mAP"][row] == pytest.approx(precision, abs=1e-5)
        area = np.mean([roc_auc_score(targets[:, c], scores[:, c], sample_weight=weight) for c in range(classes)])
        assert found["ROC AUC"][row] == pytest.approx(area, abs=1e-5)
        decided = scores > 0.5 if multilabel else np.eye(classes)[scores.argmax(1)]
        assert found["macro F1"][row] == pytest.approx(
            f1_score(targets, decided, average="macro", sample_weight=weight), abs=1e-5)
        if not multilabel:
            hit = scores.argmax(1) == targets.argmax(1)
            assert found["accuracy"][row] == pytest.approx(np.average(hit, weights=weight), abs=1e-5)
        if classes == 2:
            rare = int(targets[:, 1].sum() <= targets[:, 0].sum())
            for name, one in (("sensitivity", rare), ("specificity", 1 - rare)):
                assert found[name][row] == pytest.approx(recall_score(
                    targets.argmax(1), scores.argmax(1), pos_label=one, sample_weight=weight), abs=1e-5)


def test_intervals_over_clips_are_as_wide_as_the_binomials():
    targets, scores, _ = sample(3, False, clips=1000)
    found = measures(targets, np.stack([scores, scores]), False)
    share = found["accuracy"]["value"] / 100
    half = 196 * (share * (1 - share) / 1000) ** 0.5
    assert found["accuracy"]["high"] - found["accuracy"]["value"] == pytest.approx(half, rel=0.2)
    assert found["accuracy"]["value"] - found["accuracy"]["low"] == pytest.approx(half, rel=0.2)
    assert measures(targets, scores[None], False) == measures(targets, scores[None], False)
    rows = class_scores(targets, scores[None], ["a", "b", "c"], False)
    assert sum(row["clips"] for row in rows.values()) == 1000 and 0 < rows["a"]["f1"] < 100


def test_classes_that_are_not_tested_do_not_count():
    targets, scores, _ = sample(3, False)
    wider = np.concatenate([targets, np.zeros((200, 1), np.float32)], 1)
    more = np.concatenate([scores, np.zeros((200, 1))], 1)
    a, b = measures(targets, scores[None], False), measures(wider, more[None], False)
    assert {name: one["value"] for name, one in a.items()} == pytest.approx(
        {name: one["value"] for name, one in b.items()})


def test_large_tasks_have_fewer_resamples_or_no_interval_for_rankings(monkeypatch):
    targets, scores, _ = sample(3, False)
    whole = measures(targets, scores[None], False)
    monkeypatch.setattr(scores_module, "BUDGET", 99 * scores.size)
    found = measures(targets, scores[None], False)
    assert found["accuracy"] == whole["accuracy"]
    assert found["mAP"] == {"value": whole["mAP"]["value"], "low": None, "high": None}
