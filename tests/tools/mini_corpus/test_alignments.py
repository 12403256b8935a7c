"""Phone times become one phone per teacher row."""

import numpy as np
import pytest
import soundfile
from mini_corpus.alignments import frame_phones, load_aligned, phone_set, read_alignments

from m2d.common.errors import UserError
from m2d.data.datadir import DataDir


@pytest.fixture
def ctm(tmp_path):
    folder = tmp_path / "alignments"
    folder.mkdir()
    (folder / "dev.ctm").write_text("u1 1 0.030 0.040 AH\nu1 1 0.100 0.020 T\n")
    (folder / "train.ctm").write_text("u2 1 0.050 0.010 S\nu2 1 0.000 0.050 IY\n")
    return folder


def test_a_folder_of_tables_is_read_in_time_order(ctm):
    assert read_alignments(ctm) == {
        "u1": [(0.03, 0.07, "AH"), (0.1, pytest.approx(0.12), "T")],
        "u2": [(0.0, 0.05, "IY"), (0.05, pytest.approx(0.06), "S")]}
    assert read_alignments(ctm / "dev.ctm").keys() == {"u1"}
    assert phone_set(read_alignments(ctm)) == ["AH", "IY", "S", "SIL", "T"]


def test_a_table_that_is_wrong_is_named_with_its_line(ctm):
    (ctm / "dev.ctm").write_text("u1 1 0.030 0.040 AH\nu1 0.1 T\n")
    with pytest.raises(UserError, match=r"dev\.ctm: line 2"):
        read_alignments(ctm)
    with pytest.raises(UserError, match="no such file"):
        read_alignments(ctm / "test.ctm")


def test_between_phones_there_is_silence():
    phones = ["AH", "SIL", "T"]
    times = np.array([0.0, 0.03, 0.069, 0.07, 0.11, 0.12])
    labels = frame_phones([(0.03, 0.07, "AH"), (0.1, 0.12, "T")], times, phones)
    assert [phones[i] for i in labels] == ["SIL", "AH", "AH", "SIL", "T", "SIL"]


def test_rows_bear_the_phone_at_their_centre(tmp_path, ctm):
    soundfile.write(tmp_path / "u1.wav", np.zeros(2000), 16000)
    data = DataDir({"u1": str(tmp_path / "u1.wav"), "unaligned": "nowhere.wav"})
    clip, = load_aligned(data, read_alignments(ctm))
    # rows 0 .. 5 are centred at 12.5, 32.5, 52.5, 72.5, 92.5 and 112.5 ms
    names = phone_set(read_alignments(ctm))
    assert [names[i] for i in clip.phones] == ["SIL", "AH", "AH", "SIL", "SIL", "T"]


def test_a_corpus_without_phone_times_is_refused(ctm):
    with pytest.raises(UserError, match="none of the 1 utterances"):
        load_aligned(DataDir({"other": "x.wav"}), read_alignments(ctm))
