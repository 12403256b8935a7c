import h5py
import numpy as np
import pytest

from m2d.common.errors import UserError
from m2d.superb.diarization import Turn, diarization_error_rate, error_time, lowest_rate, read_rttm, speaker_turns

REFERENCE = [Turn(0.0, 4.0, "a"), Turn(3.0, 6.0, "b")]  # 7 s of speaker time, 1 s of overlap


@pytest.mark.parametrize(("hypothesis", "seconds"), [
    ([Turn(0.0, 4.0, "x"), Turn(3.0, 6.0, "y")], 0.0),  # the same under other names
    ([Turn(0.0, 6.0, "x")], 3.0),  # the overlap is missed, 2 s of b are given to a
    ([Turn(0.0, 4.0, "x"), Turn(3.0, 8.0, "y")], 2.0),  # false speech at the end
    ([Turn(3.0, 6.0, "y")], 4.0),  # all of a is missed
    ([], 7.0),
    ([Turn(0.0, 4.0, "x"), Turn(3.0, 6.0, "y"), Turn(5.0, 6.0, "z")], 1.0),  # a third speaker who is not there
])
def test_missed_false_and_confused_speech(hypothesis, seconds):
    assert error_time(REFERENCE, hypothesis) == pytest.approx((seconds, 7.0))


def test_the_rate_goes_over_all_recordings():
    perfect, empty = (REFERENCE, REFERENCE), ([Turn(0.0, 1.0, "a")], [])
    assert diarization_error_rate([perfect, empty]) == pytest.approx(1 / 8)


def test_probabilities_become_turns():
    activity = np.array([[0.9, 0.1], [0.9, 0.6], [0.2, 0.9], [0.9, 0.1]])
    assert speaker_turns(activity, 0.5, 1, 0.04) == [
        Turn(0.0, 0.08, "0"), Turn(0.12, pytest.approx(0.16), "0"), Turn(0.04, 0.12, "1")]
    assert speaker_turns(np.array([[0.9]] * 20 + [[0.1]] + [[0.9]] * 20), 0.5, 11, 0.01) == [Turn(0.0, 0.41, "0")]


def test_the_lowest_rate_of_thresholds_and_filters_counts(tmp_path):
    """Frames of 0.45 are speech at the thresholds 0.3 and 0.4 alone."""
    (tmp_path / "rttm").write_text("SPEAKER one 1 0.00 2.00 <NA> <NA> a <NA>\n")
    with h5py.File(tmp_path / "one.h5", "w") as stored:
        stored.create_dataset("T_hat", data=np.full((50, 2), [0.45, 0.0]))
    assert lowest_rate(tmp_path, tmp_path / "rttm", 0.04) == 0.0
    (tmp_path / "one.h5").unlink()
    with pytest.raises(UserError, match="recording one has no predictions"):
        lowest_rate(tmp_path, tmp_path / "rttm", 0.04)


def test_a_bad_line_of_a_reference_is_named(tmp_path):
    (tmp_path / "rttm").write_text("SPEAKER one 1 zero 2.00 <NA> <NA> a <NA>\n")
    with pytest.raises(UserError, match="rttm:1: not a line"):
        read_rttm(tmp_path / "rttm")
