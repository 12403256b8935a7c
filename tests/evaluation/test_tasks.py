"""Official downloads, whole and broken, become task tables."""

import dataclasses
import json
import os
import shutil
import sys
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

sys.path.insert(0, str(Path(__file__).parents[2] / "utils"))
from mark import data_identity

from m2d.common.errors import UserError
from m2d.evaluation.clips import wave_batches
from m2d.evaluation.paper import FINETUNE_TASKS, LINEAR_TASKS
from m2d.evaluation.prepare import prepare
from m2d.evaluation.splits import disjoint_split
from m2d.evaluation.tables import read_table
from m2d.evaluation.task import Task
from m2d.evaluation.tasks import TASKS

COUNTS = {
    "esc50": dict.fromkeys("12345", 6),
    "us8k": dict.fromkeys(map(str, range(1, 11)), 4),
    "spcv2": {"train": 12, "valid": 6, "test": 6},
    "vc1": {"train": 6, "valid": 3, "test": 3},
    "gtzan": {"train": 12, "valid": 5, "test": 6},  # jazz.00054, a valid one, is corrupt
    "nsynth": {"train": 8, "valid": 4, "test": 4},
    "surge": {"train": 18, "valid": 3, "test": 3},
    "as20k": {"train": 10, "test": 6},
}


def test_the_thirteen_tasks_have_the_papers_lengths():
    assert [TASKS.get(name).seconds for name in LINEAR_TASKS] == [5.0, 4.0, 1.0, 8.2, 5.8, 2.5, 30.0, 4.0, 4.0]
    assert FINETUNE_TASKS == ("as20k", "esc50", "spcv2", "vc1")
    assert set(TASKS) == {*LINEAR_TASKS, *FINETUNE_TASKS}


@pytest.mark.parametrize("name", list(TASKS))
def test_an_official_download_is_prepared(name, miniatures, tmp_path, caplog):
    caplog.set_level("INFO")
    task = prepare(TASKS.get(name), miniatures[name])
    official = TASKS.get(name).official
    assert official is None or f"{len(task.clips)} clips (published: {official:,}): DIFFERENT" in caplog.text
    if name in COUNTS:
        assert task.counts() == COUNTS[name]
    assert all(task.path(clip).is_file() for clip in task.clips)
    task.write(tmp_path / "task")
    assert Task.read(tmp_path / "task") == task
    assert read_table(tmp_path / "task/table.csv").clips == task.clips
    # the written table, given as a user's own, is the same task again
    again = prepare(TASKS.get(name), miniatures[name], table=tmp_path / "task/table.csv")
    assert (again.clips, again.classes) == (task.clips, task.classes)
    assert again.split == "split table table.csv"


def test_labels_and_classes(miniatures):
    assert prepare(TASKS.get("esc50"), miniatures["esc50"]).classes == ["dog", "rain", "rooster"]
    assert prepare(TASKS.get("vc1"), miniatures["vc1"]).classes == ["id10001", "id10270", "id11251"]
    assert prepare(TASKS.get("surge"), miniatures["surge"]).classes == ["21", "60", "108"]
    audioset = prepare(TASKS.get("as20k"), miniatures["as20k"])
    assert audioset.classes == [f"/m/{index:03d}" for index in range(5)]  # one of them without a clip
    assert [clip.label for clip in audioset.clips[:2]] == ["/m/002", "/m/003;/m/000"]
    words = prepare(TASKS.get("spcv2"), miniatures["spcv2"])
    assert words.classes == ["backward", "bed", "zero"]  # no _background_noise_


@pytest.mark.parametrize("name, group", [
    ("cremad", lambda clip: clip.file_name.split("/")[1][:4]),
    ("surge", lambda clip: clip.file_name.rpartition("/")[0]),
    ("voxforge", lambda clip: (clip.label, clip.file_name.split("/")[1].split("-2008")[0])),
])
def test_splits_of_our_own_keep_speakers_and_tones_together(name, group, miniatures):
    task = prepare(TASKS.get(name), miniatures[name])
    parts = {}
    for clip in task.clips:
        if "Anonymous" not in clip.file_name:
            parts.setdefault(group(clip), set()).add(clip.part)
    assert all(len(found) == 1 for found in parts.values())
    assert set().union(*parts.values()) == {"train", "valid", "test"}
    for part in ("train", "valid", "test"):
        assert {clip.label for clip in task.clips if clip.part == part} == set(task.classes)
    assert prepare(TASKS.get(name), miniatures[name]).clips == task.clips
    others = [prepare(TASKS.get(name), miniatures[name], seed=seed).clips for seed in (1, 2, 3)]
    assert any(clips != task.clips for clips in others)


def test_disjoint_split_follows_the_shares():
    split = disjoint_split({f"s{number}": "all" for number in range(91)}, (7, 1, 2), 0)
    counts = [list(split.values()).count(part) for part in ("train", "valid", "test")]
    assert counts == [64, 9, 18]
    with pytest.raises(UserError, match="needs 3"):
        disjoint_split({"a": "x", "b": "x"}, (7, 1, 2), 0)


def test_corrupt_and_empty_files_are_left_out_and_listed(own_copy):
    gtzan = prepare(TASKS.get("gtzan"), own_copy("gtzan"))
    assert len(gtzan.unreadable) == 1 and "jazz.00054.wav: not readable as audio" in gtzan.unreadable[0]
    root = own_copy("us8k")
    (root / "audio/fold3/100300-0-0-0.wav").write_bytes(b"")
    us8k = prepare(TASKS.get("us8k"), root)
    assert us8k.counts()["3"] == 3 and "empty file" in us8k.unreadable[0]


def test_a_copy_with_many_damaged_files_is_an_error(own_copy):
    root = own_copy("cremad")
    for path in sorted((root / "AudioWAV").glob("100*.wav"))[:8]:
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"CRM-D: 8 of 60 files in .* empty or damaged, for example: .*empty file"):
        prepare(TASKS.get("cremad"), root)


def test_missing_audioset_clips_are_counted(miniatures):
    task = prepare(TASKS.get("as20k"), miniatures["as20k"])
    assert task.missing == {"train": 2, "test": 2} and len(task.missing_files) == 4


def pack_as_tar(files, pack):
    with tarfile.open(f"{pack}.tar", "w") as archive:
        for path in files:
            archive.add(path, path.name)


def pack_as_parquet(files, pack):
    rows = [{"video_id": path.name, "audio": {"bytes": path.read_bytes(), "path": path.name}} for path in files]
    parquet.write_table(pyarrow.Table.from_pylist(rows), f"{pack}.parquet")


def pack_as_hdf5(files, pack):
    with h5py.File(f"{pack}.h5", "w") as opened:
        for path in files:
            opened[path.name] = np.frombuffer(path.read_bytes(), np.uint8)


@pytest.mark.parametrize("pack", [pack_as_tar, pack_as_parquet, pack_as_hdf5])
def test_audioset_from_packs(own_copy, tmp_path, pack):
    root = own_copy("as20k")
    files = prepare(TASKS.get("as20k"), root)
    expected = read_waves(files, workers=0)
    for part in ("balanced_train_segments", "eval_segments"):
        pack(sorted((root / part).iterdir()), root / f"pack_{part}")
        shutil.rmtree(root / part)
    task = prepare(TASKS.get("as20k"), root)
    assert task.counts() == files.counts() and task.missing == files.missing
    assert task.content == files.content and all("::" in clip.file_name for clip in task.clips)
    task.write(tmp_path / "task")
    before = data_identity(str(tmp_path / "task"))
    for workers in (0, 2):
        assert np.array_equal(read_waves(Task.read(tmp_path / "task"), workers), expected)
    os.utime(next(root.glob("pack_eval*")), (1, 1))
    assert data_identity(str(tmp_path / "task")) != before


def read_waves(task, workers):
    return np.concatenate([waves.numpy() for waves, _ in wave_batches(task, task.clips, 16000, 4, workers)])


def test_audioset_without_its_evaluation_clips_says_what_is_missing(own_copy):
    root = own_copy("as20k")
    for path in (root / "eval_segments").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"AS20K: no readable clip in split 'test' in .*\nexpected tree of AS20K"):
        prepare(TASKS.get("as20k"), root)


MISSING = {
    "esc50": ("meta/esc50.csv", "esc50.csv is missing"),
    "us8k": ("metadata/UrbanSound8K.csv", "UrbanSound8K.csv is missing"),
    "spcv2": ("testing_list.txt", "testing_list.txt is missing"),
    "vc1": ("iden_split.txt", "iden_split.txt, .*veri_test_class.txt is there"),
    "voxforge": ("it", "the folder of italian \\(it\\) is missing"),
    "cremad": ("AudioWAV", "AudioWAV is missing"),
    "gtzan": ("valid_filtered.txt", "valid_filtered.txt is missing \\(a fault-filtered list"),
    "nsynth": ("nsynth-valid/examples.json", "nsynth-valid/examples.json is missing"),
    "as20k": ("eval_segments.csv", "eval_segments.csv is missing"),
}


@pytest.mark.parametrize("name", MISSING)
def test_missing_parts_name_the_data_set_the_tree_and_the_part(name, own_copy):
    root = own_copy(name)
    path, words = MISSING[name]
    (root / path).rename(root.parent / "elsewhere")
    with pytest.raises(UserError, match=words) as error:
        prepare(TASKS.get(name), root)
    text = str(error.value)
    spec = TASKS.get(name)
    assert text.startswith(spec.title) and f"expected tree of {spec.title}:\n{spec.tree}" in text


@pytest.mark.parametrize("name", list(TASKS))
def test_an_absent_or_empty_folder_is_an_error(name, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        prepare(TASKS.get(name), tmp_path / "none")
    with pytest.raises(UserError, match=f"^{TASKS.get(name).title}: .*\n?expected tree"):
        prepare(TASKS.get(name), tmp_path)


def test_listed_files_that_are_not_there_are_an_error(own_copy):
    root = own_copy("vc1")
    (root / "dev/wav/id10001/2-vidXYZ012/00001.wav").unlink()
    with pytest.raises(UserError, match=r"VC1: 1 of 12 listed files are missing.*id10001/2-vidXYZ012/00001.wav"):
        prepare(TASKS.get("vc1"), root)


@pytest.mark.parametrize("layout", ["wav", "vox1_{part}_wav/wav", "{part}/m4a", "{part}", ""])
def test_voxceleb1_as_it_is_kept(own_copy, layout):
    root = own_copy("vc1")
    for part in ("dev", "test"):
        for speaker in sorted((root / part / "wav").iterdir()):
            place = root / layout.format(part=part) / speaker.name
            place.parent.mkdir(parents=True, exist_ok=True)
            speaker.rename(place)
            for recording in place.rglob("*.wav"):
                if layout.endswith("m4a"):  # converted: what is in it does not matter here
                    recording.rename(recording.with_suffix(".flac"))
    clips = prepare(TASKS.get("vc1"), root).clips
    assert len(clips) == 12 and {clip.label for clip in clips} == {"id10001", "id10270", "id11251"}


def test_lists_may_be_elsewhere(own_copy, tmp_path):
    root = own_copy("vc1")
    (root / "iden_split.txt").rename(tmp_path / "my_split.txt")
    assert len(prepare(TASKS.get("vc1"), root, lists=tmp_path / "my_split.txt").clips) == 12
    root = own_copy("gtzan")
    for path in root.glob("*_filtered.txt"):
        path.rename(tmp_path / path.name)
    assert len(prepare(TASKS.get("gtzan"), root, lists=tmp_path).clips) == 23


def test_a_users_table_finds_files_in_the_audio_folders_and_under_other_extensions(miniatures, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("file_name,label,split\n" + "".join(
        f"Bank 0/tone {number}/{note}.wav,{note},{part}\n"
        for number, part in ((0, "train"), (2, "valid"), (4, "test")) for note in (21, 60)))
    task = prepare(TASKS.get("surge"), miniatures["surge"], table=table)
    assert task.counts() == {"train": 2, "valid": 2, "test": 2} and task.clips[0].file_name == "Bank 0/tone 0/21.ogg"
    table.write_text("file_name,label,fold\n1-100033-A-0.wav,dog,1\n2-100034-A-0.wav,dog,2\n")
    task = prepare(TASKS.get("esc50"), miniatures["esc50"], table=table)
    assert task.has_folds and task.clips[0].file_name == "audio/1-100033-A-0.wav"
    table.write_text("file_name,label,fold\n1-100033-A-0.wav,dog,1\nnothing.wav,dog,2\n")
    with pytest.raises(UserError, match=r"1 of 2 listed files are missing.*nothing\.wav"):
        prepare(TASKS.get("esc50"), miniatures["esc50"], table=table)


def test_unknown_task_and_unprepared_folder(tmp_path):
    with pytest.raises(UserError, match="unknown task 'esc5', did you mean 'esc50'"):
        TASKS.get("esc5")
    with pytest.raises(UserError, match="no prepared task here"):
        Task.read(tmp_path)


def test_the_digest_changes_with_the_rows(miniatures):
    task = prepare(TASKS.get("gtzan"), miniatures["gtzan"])
    fewer = dataclasses.replace(task, clips=task.clips[:-1])
    assert task.digest() == prepare(TASKS.get("gtzan"), miniatures["gtzan"]).digest() != fewer.digest()


def test_prepared_files_are_readable_by_others(miniatures, tmp_path):
    prepare(TASKS.get("as20k"), miniatures["as20k"]).write(tmp_path / "as20k")
    first = (tmp_path / "as20k/table.csv").read_text().splitlines()
    assert first[0] == "file_name,label,split" and first[1].startswith("balanced_train_segments/")
    assert json.loads((tmp_path / "as20k/task.json").read_text())["multilabel"] is True
