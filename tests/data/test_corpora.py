"""Official layouts in miniature, whole and broken."""

import shutil

import numpy as np
import pytest
import soundfile

from m2d.common.errors import UserError
from m2d.data.corpora.audioset import read_audioset, video_of
from m2d.data.corpora.folder import read_folder
from m2d.data.corpora.librispeech import read_librispeech
from m2d.data.corpora.prepare import PrepareConfig, prepare
from m2d.data.datadir import DataDir


def audio(path, seconds=0.2, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(round(seconds * rate)), rate)


@pytest.fixture
def librispeech(tmp_path):
    root = tmp_path / "LibriSpeech"
    for part, speakers in (("train-clean-100", (103, 1034)), ("dev-clean", (84,))):
        for speaker in speakers:
            folder = root / part / str(speaker) / "1240"
            for i in range(3):
                audio(folder / f"{speaker}-1240-{i:04d}.flac")
            (folder / f"{speaker}-1240.trans.txt").write_text(
                "".join(f"{speaker}-1240-{i:04d} CHAPTER {i} OF IT\n" for i in range(3)))
    (root / "SPEAKERS.TXT").write_text(
        "; Some pipes\n;ID  |SEX| SUBSET           |MINUTES| NAME\n"
        "84   | F | dev-clean        |  8.02 | Christie Nowak\n103  | F | train-clean-100  | 25.10 | Karen Savage\n"
        "1034 | M | train-clean-100  | 25.09 | Kevin O'Coin\n1040 | F | train-clean-100  | 25.07 | A | B\n")
    return root


def test_librispeech(librispeech, caplog):
    data = read_librispeech(librispeech, ["train-clean-100"])
    assert data.utterances == [f"{s}-1240-{i:04d}" for s in (103, 1034) for i in range(3)]
    assert data.text["103-1240-0001"] == "CHAPTER 1 OF IT" and data.utt2spk["1034-1240-0002"] == "1034"
    assert data.wav["103-1240-0000"] == str(librispeech / "train-clean-100/103/1240/103-1240-0000.flac")
    assert "1 of the 3 speakers" in caplog.text
    both = read_librispeech(librispeech.parent, ["train-clean-100", "dev-clean"])
    assert len(both) == 9


@pytest.mark.parametrize("change, parts, words", [
    (lambda r: None, ["train-clean-10"], "did you mean 'train-clean-100'"),
    (lambda r: None, [], "name parts"),
    (lambda r: None, ["test-clean"], r"test-clean: no such folder; expected LibriSpeech/PART"),
    (lambda r: (r / "dev-other").mkdir(), ["dev-other"], "no chapters in dev-other"),
])
def test_broken_librispeech_is_named(librispeech, change, parts, words):
    change(librispeech)
    with pytest.raises(UserError, match=words):
        read_librispeech(librispeech, parts)


def test_folder_of_any_audio(tmp_path):
    for name in ("x/a b.wav", "x/c.flac", "y/c.ogg", "y/c.mp3", "d.WAV", ".hidden.wav", "z-c.wav", "z/c.wav"):
        audio(tmp_path / name)
    (tmp_path / "y" / "readme.txt").write_text("no audio")
    (tmp_path / "linked").symlink_to(tmp_path / "x")
    (tmp_path / "x" / "back").symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"would have the same id 'z-c\.wav'"):
        read_folder(tmp_path)
    (tmp_path / "z" / "c.wav").unlink()
    data = read_folder(tmp_path)
    assert data.utterances == sorted(["x-a_b", "x-c", "y-c.ogg", "y-c.mp3", "d", "z-c", "linked-a_b", "linked-c"])
    assert data.wav["x-a_b"] == str(tmp_path / "x" / "a b.wav")


def test_list_of_audio(tmp_path):
    for name in ("a/1.wav", "b/1.wav"):
        audio(tmp_path / name)
    (tmp_path / "list.txt").write_text(f"a/1.wav\n\n{tmp_path}/b/1.wav\n")
    assert read_folder(tmp_path / "list.txt").wav == {"a-1": f"{tmp_path}/a/1.wav", "b-1": f"{tmp_path}/b/1.wav"}
    (tmp_path / "list.txt").write_text("a/1.wav\na/2.wav\n")
    with pytest.raises(UserError, match=r"list\.txt: lists .*a/2\.wav, which is not there"):
        read_folder(tmp_path / "list.txt")


def test_folder_faults(tmp_path):
    with pytest.raises(UserError, match="no such folder or list"):
        read_folder(tmp_path / "none")
    with pytest.raises(UserError, match="no audio in it"):
        read_folder(tmp_path)
    audio(tmp_path / "a.wav")
    with pytest.raises(UserError, match="no text list"):
        (tmp_path / "list").write_bytes(b"\xff\xfe\x00")
        read_folder(tmp_path / "list")


def test_long_recordings_are_cut_into_equal_parts(tmp_path, caplog):
    audio(tmp_path / "long.wav", 10.0, 8000)
    audio(tmp_path / "short.wav", 3.0, 8000)
    (tmp_path / "broken.wav").write_text("text")
    data = read_folder(tmp_path, segment_seconds=4.0)
    parts = ["long-0000000-0000333", "long-0000333-0000667", "long-0000667-0001000"]
    assert data.utterances == ["broken", *parts, "short"]
    assert sum(data.utt2dur.values()) == pytest.approx(13.0) and max(data.utt2dur.values()) <= 4.0
    assert data.source("long-0000667-0001000").duration is None and data.source("broken").duration is None
    assert "broken.wav" in caplog.text


@pytest.fixture
def audioset(tmp_path):
    root = tmp_path / "audioset"
    head = "# Segments csv created Sun Mar  5 10:54:31 2017\n# num_ytids=3, num_segs=3\n# YTID, start_seconds\n"
    lists = {"balanced_train": ["--PJHxphWEs", "Y1234567890", "-0p7hKXZ1ww"], "eval": ["--4gqARaEJE", "eeeeeeeeeee"]}
    root.mkdir()
    for part, ids in lists.items():
        (root / f"{part}_segments.csv").write_text(
            head + "".join(f'{v}, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n' for v in ids))
    (root / "class_labels_indices.csv").write_text(
        'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/t/dd00088,"Gush, flow"\n')
    audio(root / "audio" / "Y--PJHxphWEs.wav")
    audio(root / "audio" / "Y1234567890_30.000_40.000.flac")
    audio(root / "audio" / "eval" / "--4gqARaEJE_30.wav")
    audio(root / "audio" / "eval" / "Yeeeeeeeeeee.ogg")
    audio(root / "audio" / "ZZZZZZZZZZZ.wav")
    return root


def test_audioset_goes_on_with_the_clips_that_are_left(audioset, caplog):
    caplog.set_level("INFO")
    data = read_audioset(audioset, ["balanced_train"])
    assert data.utterances == ["Y--PJHxphWEs", "YY1234567890"]
    assert data.wav["YY1234567890"].endswith("Y1234567890_30.000_40.000.flac")
    assert data.labels["Y--PJHxphWEs"] == "/m/09x0r,/t/dd00088"
    assert data.classes == {"/m/09x0r": "0 Speech", "/t/dd00088": "1 Gush, flow"}
    assert "balanced_train: 2 of 3 official clips are there" in caplog.text
    assert "3 files belong to none of balanced_train" in caplog.text
    assert len(read_audioset(audioset / "audio", ["balanced_train", "eval"], metadata=audioset)) == 4


def test_audioset_goes_on_without_a_part_of_which_nothing_is_there(audioset, caplog):
    caplog.set_level("INFO")
    (audioset / "unbalanced_train_segments.csv").write_text('aaaaaaaaaaa, 0, 10, "/m/1"\n')
    assert len(read_audioset(audioset, ["balanced_train", "unbalanced_train"])) == 2
    assert "unbalanced_train: 0 of 1 official clips are there" in caplog.text


@pytest.mark.parametrize("stem, video", [
    ("abcdefghijk", "abcdefghijk"), ("Yabcdefghijk", "abcdefghijk"), ("abcdefghijk_30", "abcdefghijk"),
    ("Yabcdefghijk_30_40", "abcdefghijk"), ("abcdefghijk_30.000", "abcdefghijk"),
    ("abcdefghijk_30000_40000", "abcdefghijk"), ("abcdefghijk-30-40", "abcdefghijk"), ("Y-cdefghijk", None),
    ("abcdefghijkl", None), ("Yk_30_40_50", "Yk_30_40_50"), ("short", None)])
def test_file_names_people_use(stem, video):
    assert video_of(stem, {"abcdefghijk", "Yk_30_40_50"}) == video


@pytest.mark.parametrize("change, parts, words", [
    (lambda r: None, ["balanced"], "did you mean 'balanced_train'"),
    (lambda r: None, ["unbalanced_train"], r"unbalanced_train_segments\.csv: no such list; .* use corpus=folder"),
    (lambda r: (r / "eval_segments.csv").write_text("# a\n# b\n# c\nabcdefghijk, 30.0\n"), ["eval"],
     r"eval_segments\.csv: line 4 is no"),
    (lambda r: (r / "eval_segments.csv").write_text("# a\n"), ["eval"], "no clips in it"),
    (lambda r: (r / "eval_segments.csv").write_text('aaaaaaaaaaa, 0, 10, "/m/1"\n'), ["eval"],
     "none of the 1 clips of eval is there"),
    (lambda r: (r / "class_labels_indices.csv").write_text("mid,name\n/m/1,x\n"), ["eval"], "index,mid,display_name"),
])
def test_broken_audioset_is_named(audioset, change, parts, words):
    change(audioset)
    with pytest.raises(UserError, match=words):
        read_audioset(audioset, parts)


def test_prepare_writes_once_and_again_when_options_change(librispeech, tmp_path, caplog):
    caplog.set_level("INFO")
    config = PrepareConfig("librispeech", str(librispeech), str(tmp_path / "train"), ["train-clean-100"],
                           valid_out=str(tmp_path / "valid"), valid_utterances=2)
    prepare(config)
    train, valid = DataDir.read(tmp_path / "train"), DataDir.read(tmp_path / "valid")
    assert len(train) == len(valid) == 3 and train.utt2spk != valid.utt2spk
    assert "already done" not in caplog.text
    prepare(config)
    assert "already done" in caplog.text
    shutil.rmtree(tmp_path / "valid")  # it is part of what these options make
    prepare(config)
    assert len(DataDir.read(tmp_path / "valid")) == 3
    config.parts = ["train-clean-100", "dev-clean"]
    prepare(config)
    assert len(DataDir.read(tmp_path / "train")) == 6


@pytest.mark.parametrize("options, words", [
    ({"corpus": "librispeach"}, "did you mean 'librispeech'"),
    ({"corpus": "folder", "parts": ["x"]}, "parts does not apply to corpus=folder"),
    ({"corpus": "librispeech", "segment_seconds": 3.0}, "segment_seconds does not apply"),
    ({"corpus": "librispeech", "metadata": "x"}, "metadata does not apply"),
    ({"corpus": "folder", "valid_out": "x"}, "go together"),
])
def test_options_that_do_not_apply(tmp_path, options, words):
    audio(tmp_path / "a.wav")
    with pytest.raises(UserError, match=words):
        prepare(PrepareConfig(**{"root": str(tmp_path), "out": str(tmp_path / "out"), **options}))
