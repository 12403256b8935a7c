from pathlib import Path

import pytest

from m2d.common.errors import UserError
from m2d.superb.ctc_corpora import PHONES, LibriPhoneDataset, read_lexicon, read_transcripts


class Tokenizer:
    """One token per phone."""

    def encode(self, text: str) -> list[str]:
        return text.split()


def dataset(corpora, bucket_size: int, **changes) -> LibriPhoneDataset:
    options = {"path": corpora.librispeech, "lexicon": corpora.lexicon, **changes}
    return LibriPhoneDataset(["train-clean-100"], Tokenizer(), bucket_size, **options)


def test_phones_are_superbs_71():
    assert len(PHONES) == len(set(PHONES)) == 71
    assert {"SIL", "SPN", "AA0", "AA1", "AA2", "UW2", "ZH"} <= set(PHONES)


def test_clips_come_longest_first_with_their_phones(corpora):
    clips = dataset(corpora, 1)
    assert [len(phones) for _, phones in (clips[index] for index in range(len(clips)))] == [10, 8, 6, 2]
    path, phones = clips[3]
    assert Path(path).name == "10-7-0000.flac" and phones == ["G", "OW1"]


def test_a_bucket_is_a_clip_and_its_neighbours(corpora):
    buckets = dataset(corpora, 3)
    lengths = [[len(phones) for _, phones in buckets[index]] for index in range(len(buckets))]
    assert lengths == [[10, 8, 6], [8, 6, 2], [8, 6, 2], [8, 6, 2]]
    assert len(dataset(corpora, 100)[0]) == 4


def test_the_first_pronunciation_counts(tmp_path):
    (tmp_path / "a").write_text(";;; note\nread R EH1 D # past\nREAD(2) R IY1 D\n\n")
    (tmp_path / "b").write_text("READ R IY1 D\nON AA1 N\n")
    assert read_lexicon([str(tmp_path / "a"), str(tmp_path / "b")]) == {"READ": "R EH1 D", "ON": "AA1 N"}


@pytest.mark.parametrize(("text", "words"), [("GO G OW\n", "'OW' is not one of the 71"), ("", "no pronunciations")])
def test_a_bad_lexicon_is_named(tmp_path, text, words):
    (tmp_path / "lexicon").write_text(text)
    with pytest.raises(UserError, match=words):
        read_lexicon([str(tmp_path / "lexicon")])


def test_words_without_pronunciation_are_listed(corpora, tmp_path):
    (tmp_path / "lexicon").write_text("GO G OW1\n")
    with pytest.raises(UserError, match=r"no pronunciation for 1 words .*\(STOP\)"):
        dataset(corpora, 1, lexicon=[str(tmp_path / "lexicon")])


def test_a_transcript_without_its_recording_is_named(tmp_path):
    folder = tmp_path / "dev-clean" / "1" / "2"
    folder.mkdir(parents=True)
    (folder / "1-2.trans.txt").write_text("1-2-0000 GO")
    with pytest.raises(UserError, match="1-2-0000 has no"):
        read_transcripts(tmp_path, ["dev-clean"])
