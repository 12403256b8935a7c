"""Every recording of SUPERB's tasks is looked for at stage 0, and counted beside what is published."""

import re
import shutil
from pathlib import Path

import pytest

from m2d.common.errors import UserError
from m2d.superb.check import check_recordings
from m2d.superb.task import TASKS, read_settings

CONF = Path(__file__).parents[2] / "egs" / "librispeech_m2ds" / "conf" / "superb"


def look(task, corpora, tmp_path):
    settings = read_settings(CONF, [], task)
    settings["downstream_expert"].get("datarc", {})["batch_size"] = 4
    TASKS.get(task).prepared(corpora, tmp_path / "tables", settings)
    check_recordings(TASKS.get(task), settings)


@pytest.mark.parametrize(("task", "words"), [
    ("pr", r"PR, train-clean-100: \d+ utterances \(published: 28,539\): DIFFERENT"),
    ("asr", r"ASR, test-clean: \d+ utterances \(published: 2,620\)"),
    ("ks", r"KS, train and dev: \d+ utterances \(published: 64,721\)"),
    ("ic", r"IC, valid: 3 utterances \(published: 3,118\)"), ("sid", r"SID, dev: 3 utterances \(published: 6,904\)"),
    ("er", r"ER, Session3: 5 utterances \(published: 1,151\)")])
def test_the_parts_are_counted_beside_the_published_numbers(task, words, corpora, tmp_path, caplog):
    caplog.set_level("INFO")
    look(task, corpora, tmp_path)
    assert re.search(f"SUPERB {words}", caplog.text), caplog.text


@pytest.mark.parametrize(("task", "option", "victim", "words"), [
    ("pr", "librispeech", "train-clean-100/*/*/*.flac", r"PR: 1 of \d+ recordings are missing: .*train-clean-100"),
    ("ic", "fluent", "wavs/speakers/test/2.wav", r"IC: 1 of 12 recordings are missing: .*speakers/test/2\.wav"),
    ("sid", "voxceleb1", "test/wav/id10003/c/00001.wav",
     r"SID: 1 of 9 recordings are missing: .*dev/wav/id10003/c/00001\.wav or .*test/wav/id10003/c/00001\.wav")])
def test_the_one_that_is_missing_is_named(task, option, victim, words, corpora, copy_of, tmp_path):
    shutil.copytree(getattr(corpora, option), tmp_path / "copy")
    next((tmp_path / "copy").glob(victim)).unlink()
    with pytest.raises(UserError, match=words):
        look(task, copy_of(**{option: str(tmp_path / "copy")}), tmp_path)


def test_voxceleb1_as_its_archives_unpack(corpora, copy_of, tmp_path):
    for part in ("dev", "test"):
        shutil.copytree(Path(corpora.voxceleb1, part, "wav"), tmp_path / "vox" / f"vox1_{part}_wav" / "wav")
    look("sid", copy_of(voxceleb1=str(tmp_path / "vox")), tmp_path)


def test_iemocap_clips_that_are_not_there_show_in_the_counts(corpora, copy_of, tmp_path, caplog):
    shutil.copytree(corpora.iemocap, tmp_path / "copy")
    next((tmp_path / "copy/Session2/sentences/wav").rglob("*_F000.wav")).unlink()
    look("er", copy_of(iemocap=str(tmp_path / "copy")), tmp_path)
    assert "ER, Session2: 4 utterances" in caplog.text


def test_voxceleb1_merged_into_one_folder(corpora, copy_of, tmp_path):
    for part in ("dev", "test"):
        shutil.copytree(Path(corpora.voxceleb1, part, "wav"), tmp_path / "merged" / "wav", dirs_exist_ok=True)
    look("sid", copy_of(voxceleb1=str(tmp_path / "merged")), tmp_path)
    assert len(list((tmp_path / "tables/voxceleb1").glob("*/wav/id10003/c/00001.wav"))) == 1  # as s3prl searches
