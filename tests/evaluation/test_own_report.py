"""What is said of results: differences on the same clips with their intervals, the hardest clips, mistakes."""

from pathlib import Path

import numpy as np
import pytest

from m2d.evaluation.linear import LinearOptions
from m2d.evaluation.own_report import Outcome, comparison, confused, difference, hardest, read_outcome
from m2d.evaluation.results import write_result
from m2d.evaluation.tables import Clip
from m2d.evaluation.task import Task


def outcome(title, right, probability=0.5):
    """Predictions of 'a' clips, of which the first `right` of 40 are right."""
    return Outcome(title, Path(), {}, [{
        "file_name": f"{clip}.wav", "start": "0", "label": "a", "predicted": "a" if clip < right else "b",
        "probability": f"{probability + clip / 1000:.4f}"} for clip in range(40)])


def test_a_large_difference_is_sure_and_a_small_one_is_not():
    gain, low, high = difference(outcome("new", 38), outcome("old", 20))
    assert gain == 45 and 0 < low < 45 < high
    assert comparison(outcome("new", 38), outcome("old", 20)).endswith("**better**.")
    assert comparison(outcome("new", 20), outcome("old", 38)).endswith("**worse**.")
    assert "+2.5" in comparison(outcome("new", 21), outcome("old", 20))
    assert comparison(outcome("new", 21), outcome("old", 20)).endswith("**no sure difference**.")


def test_other_clips_are_not_compared_one_by_one():
    other = outcome("old", 20)
    assert difference(outcome("new", 38), other._replace(rows=other.rows[1:])) is None


def test_hardest_clips_and_mistakes():
    rows = outcome("new", 38).rows
    assert hardest(rows).splitlines()[2].startswith("| `0.wav` | a | a |") and len(hardest(rows).splitlines()) == 17
    assert confused(rows) == " Most frequent mistakes: a heard as b (2)." and confused(rows[:38]) == ""


@pytest.mark.parametrize("multilabel", [False, True])
def test_predictions_lie_beside_a_result(tmp_path, multilabel):
    clips = [Clip("x.wav", "b", "test", 1.5, 2.0), Clip("y.wav", "a;b" if multilabel else "a", "test")]
    task = Task("t", "T", "own", "/x", 1.0, "made up", ["a", "b"], multilabel, clips=clips)
    write_result(tmp_path, "linear", "m", "m", task, LinearOptions(), {
        "scores": [1.0], "mean": 1.0, "ci": None, "clips": {"test": 2}, "confusion": None, "unreadable": [],
        "predictions": (np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.6]]))})
    first, second = read_outcome(tmp_path, "m").rows
    assert first == {"file_name": "x.wav", "start": "1.5", "end": "2", "label": "b", "predicted": "a",
                     "probability": "0.1000"}
    assert (second["predicted"], second["probability"]) == (("a;b", "0.6000") if multilabel else ("a", "0.8000"))
    assert read_outcome(tmp_path, "m").correct.tolist() == [0, 1] and read_outcome(tmp_path / "none", "m") is None
