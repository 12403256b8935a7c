"""Tasks of one's own: tables and folders become checked tasks; bad ones say which row is wrong."""

import random
import shutil

import numpy as np
import pytest
import soundfile

from m2d.bin import prepare_task
from m2d.common import cli
from m2d.common.errors import UserError
from m2d.data.datadir import DataDir
from m2d.evaluation.own import own_task, training_audio
from m2d.evaluation.splits import grouped_split
from m2d.evaluation.tables import Clip
from m2d.evaluation.task import Task


def command(*words):
    prepare_task.main(cli.parse(prepare_task.Options, prepare_task.__doc__, [str(word) for word in words]))


def put(path, seed, seconds=0.2):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).uniform(-0.3, 0.3, round(8000 * seconds)), 8000)


@pytest.fixture
def sounds(tmp_path):
    """24 files of 2 classes by 6 speakers and their table without a split."""
    lines = ["file_name,label,group"]
    for number in range(24):
        name = f"s{number % 6}/{number}.wav"
        put(tmp_path / "audio" / name, number, 0.1 + 0.01 * number)
        lines.append(f"{name},{'cough' if number % 4 < 2 else 'breath'},s{number % 6}")
    (tmp_path / "mine.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_a_table_without_a_split_keeps_groups_together(sounds):
    task, report = own_task(sounds / "audio", sounds / "mine.csv")
    assert (task.name, task.group, task.classes) == ("mine", "own", ["breath", "cough"])
    assert task.counts().keys() == {"train", "valid", "test"} and not task.multilabel
    parts = {}
    for clip in task.clips:
        parts.setdefault(clip.group, set()).add(clip.part)
    assert all(len(found) == 1 for found in parts.values())
    assert task.seconds == 0.4  # the 95th percentile of 0.1 to 0.33 s, rounded up
    assert "| all | " in report and "24 clips" in report and "seed 0" in report
    assert own_task(sounds / "audio", sounds / "mine.csv")[0] == task
    assert any(own_task(sounds / "audio", sounds / "mine.csv", seed=seed)[0].clips != task.clips for seed in (1, 2, 3))


def test_the_command_prepares_anew_what_has_changed(sounds, caplog):
    words = "task=table", f"table={sounds}/mine.csv", f"root={sounds}/audio", f"out={sounds}/task"
    command(*words)
    first = Task.read(sounds / "task")
    with caplog.at_level("INFO"):
        command(*words)
    assert "already done" in caplog.text
    put(sounds / "audio/s0/0.wav", 99, 0.1)
    command(*words)
    second = Task.read(sounds / "task")
    assert second.clips == first.clips and second.digest() != first.digest()
    shutil.copytree(sounds / "audio", sounds / "moved")  # elsewhere, the same content
    command(*words[:2], f"root={sounds}/moved", f"out={sounds}/task2", "seconds=1", "name=coughs")
    third = Task.read(sounds / "task2")
    assert (third.name, third.seconds) == ("coughs", 1.0)
    third.seconds = second.seconds
    assert third.digest() == second.digest()
    assert "Clips (minutes) per class and part" in (sounds / "task/report.md").read_text()


def test_what_is_not_tested_is_a_data_directory_to_pre_train_on(sounds):
    command("task=table", f"table={sounds}/mine.csv", f"root={sounds}/audio", f"out={sounds}/task",
            f"audio_out={sounds}/data")
    data, clips = DataDir.read(sounds / "data"), Task.read(sounds / "task").clips
    heard = {clip.file_name.replace("/", "-") for clip in clips if clip.part != "test"}
    assert set(data.utterances) == heard and 0 < len(heard) < len(clips)
    parts = [Clip("s0/0.wav", "a", "train", 0.02, 0.05), Clip("s0/0.wav", "b", "train", 0.06),
             Clip("s1/1.wav", "b", "1")]
    data = training_audio(Task("t", "t", "own", str(sounds / "audio"), 1.0, "given", ["a", "b"], clips=parts))
    assert data.segments == {"s0-0.wav-0": ("s0-0.wav", 0.02, 0.05), "s0-0.wav-1": ("s0-0.wav", 0.06, -1),
                             "s1-1.wav": ("s1-1.wav", 0.0, -1)}


def test_a_folder_per_class_with_and_without_splits(sounds):
    for number in range(12):
        put(sounds / "classes" / "ab"[number % 2] / f"{number}.wav", 50 + number)
        part = ["train", "train", "valid", "test"][number // 2 % 4]
        put(sounds / "parts" / part / "ab"[number % 2] / f"{number}.wav", 50 + number)
    task, _ = own_task(sounds / "classes")
    assert task.classes == ["a", "b"] and task.name == "classes" and {"train", "test"} < set(task.parts)
    task, _ = own_task(sounds / "parts")
    assert task.counts() == {"train": 8, "valid": 2, "test": 2} and task.split == "given"
    put(sounds / "classes/stray.wav", 0)
    with pytest.raises(UserError, match=r"stray\.wav: lies outside of the class folders"):
        own_task(sounds / "classes")


def test_several_labels_and_parts_of_recordings(tmp_path):
    put(tmp_path / "long.wav", 0, 4.0)
    put(tmp_path / "other.wav", 1, 4.0)
    rows = ["file_name,label,start,end,split"]
    for number in range(8):
        for name, part in (("long", "train"), ("other", "test")):
            label = "rain;wind" if number % 2 else "wind"
            rows.append(f"{name}.wav,{label},{0.5 * number},{0.5 * number + 0.5},{part}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    task, _ = own_task(None, tmp_path / "t.csv")
    assert task.multilabel and task.seconds == 0.5
    assert task.targets()[:4].tolist() == [[0, 1], [0, 1], [1, 1], [1, 1]]
    task.write(tmp_path / "task")
    assert Task.read(tmp_path / "task") == task


def rows_of(path):
    return path.read_text().splitlines()


@pytest.mark.parametrize("change, words", [
    (lambda number, row: "none.wav,cough,s0" if number == 5 else row,
     r"mine.csv:6: there is no file .*none.wav \(1 of 24"),
    (lambda number, row: "s4/4.wav,sneeze,s0" if number == 5 else row, r"mine.csv:6: the only clip of class 'sneeze'"),
    (lambda number, row: row.replace("cough", "breath"), "all clips are of class 'breath'"),
    (lambda number, row: f"{row[:-1]}0" if number else row, "no clip is left for split 'test'"),
])
def test_wrong_tasks_say_which_row(sounds, change, words):
    rows = rows_of(sounds / "mine.csv")
    (sounds / "mine.csv").write_text("\n".join(change(number, row) for number, row in enumerate(rows)) + "\n")
    with pytest.raises(UserError, match=words):
        own_task(sounds / "audio", sounds / "mine.csv")


def test_the_same_audio_in_two_parts_is_a_leak_and_in_one_table_a_group(sounds):
    shutil.copy(sounds / "audio/s0/0.wav", sounds / "audio/s1/1.wav")
    rows = [row.rpartition(",")[0] for row in rows_of(sounds / "mine.csv")]
    given = [f"{rows[0]},split"] + [f"{row},{'train' if number % 2 else 'test'}" for number, row in enumerate(rows[1:])]
    (sounds / "given.csv").write_text("\n".join(given) + "\n")
    with pytest.raises(UserError, match=r"given.csv:3: s1/1.wav \(train\) holds the same audio as s0/0.wav \(test, l"):
        own_task(sounds / "audio", sounds / "given.csv")
    (sounds / "free.csv").write_text("\n".join(rows) + "\n")
    for seed in range(5):
        task, _ = own_task(sounds / "audio", sounds / "free.csv", seed=seed)
        assert task.clips[0].part == task.clips[1].part


def test_times_beyond_the_end_and_damaged_files(sounds):
    rows = [f"{row.rpartition(',')[0]},0,0.05" for row in rows_of(sounds / "mine.csv")]
    rows[0] = "file_name,label,start,end"
    rows[3] = rows[3].replace(",0.05", ",9")
    (sounds / "t.csv").write_text("\n".join(rows))
    with pytest.raises(UserError, match=r"t.csv:4: start 0 and end 9 do not lie in the 0.12 s of s2/2.wav"):
        own_task(sounds / "audio", sounds / "t.csv")
    (sounds / "audio/s3/3.wav").write_bytes(b"no audio")
    task, report = own_task(sounds / "audio", sounds / "mine.csv")
    assert len(task.clips) == 23 and "1 files can't be read" in report
    for path in sorted((sounds / "audio").rglob("*.wav"))[:4]:
        path.write_bytes(b"")
    with pytest.raises(UserError, match="empty or damaged"):
        own_task(sounds / "audio", sounds / "mine.csv")


@pytest.mark.parametrize("words, message", [
    (["task=table"], "give table=FILE.csv, or root=FOLDER"), (["task=table", "root=/none"], "/none: no such folder"),
    (["task=table", "root={0}/audio", "name=esc50"], "name=esc50: give the task a name"),
    (["task=table", "root={0}/audio", "seconds=0"], "seconds=0"), (["task=esc50"], "task=esc50: give root"),
    (["task=own"], "unknown task 'own'.*: give task=table for recordings of your own"),
])
def test_options_that_do_not_fit_say_so(sounds, words, message):
    with pytest.raises(UserError, match=message):
        command(f"out={sounds}/x", *(word.format(sounds) for word in words))


def test_a_split_follows_the_shares_and_the_classes():
    rng = np.random.default_rng(0)
    labels = rng.choice(5, 2000, p=[0.5, 0.3, 0.15, 0.045, 0.005])
    groups = rng.integers(0, 300, 2000)
    groups = np.unique(groups, return_inverse=True)[1]
    parts = np.array(grouped_split(np.eye(5)[labels], groups.tolist(), 0))
    assert all(len(set(parts[groups == group])) == 1 for group in range(groups.max() + 1))
    for label in range(4):
        shares = [np.mean(parts[labels == label] == part) for part in ("train", "valid", "test")]
        assert np.allclose(shares, [0.7, 0.1, 0.2], atol=0.06), (label, shares)
    assert {"train", "test"} <= set(parts[labels == 4])


GARBAGE = [
    "", "\x07", '"', "é\u202e", "9" * 200, "../..", "nan", "-1", "a;b;;", "x" * 3000, "\u2028", ",", "1e999", "?",
]


def test_five_hundred_damaged_tables_are_a_task_or_one_line(sounds):
    """A changed cell, line or byte: the task is made, or one line names the table and the row or column."""
    good = rows_of(sounds / "mine.csv")
    good = [f"{good[0]},start,end"] + [f"{row},0,0.1" for row in good[1:]]
    rng = random.Random(0)
    refused = named = 0
    for trial in range(500):
        rows, row = list(good), rng.randrange(1, len(good))
        kind = rng.choice(["cell", "cell", "drop", "twice", "cut", "header", "byte", "label"])
        cells = rows[row].split(",")
        if kind == "cell":
            cells[rng.randrange(5)] = rng.choice(GARBAGE)
            rows[row] = ",".join(cells)
        elif kind == "drop":
            rows[row] = ",".join(cells[:rng.randrange(1, 5)])
        elif kind == "twice":
            rows.append(rows[row])
        elif kind == "label":
            rows[row] = rows[row].replace(cells[1], f"new{trial}")
        elif kind == "header":
            head = rows[0].split(",")
            head[rng.randrange(5)] = rng.choice([*GARBAGE, "label"])
            rows[0], row = ",".join(head), 0
        data = "\n".join(rows).encode() + b"\n"
        if kind == "byte":
            place = rng.randrange(len(data))
            data = data[:place] + bytes([rng.randrange(256)]) + data[place + 1:]
        elif kind == "cut":
            data = data[:rng.randrange(len(data))]
        table = sounds / "bad.csv"
        table.write_bytes(data)
        try:
            own_task(sounds / "audio", table)
        except UserError as error:
            text = str(error)
            assert len(text.splitlines()) == 1 and len(text) < 8000, (kind, text)
            refused += 1
            if kind in ("cell", "drop", "label"):
                assert text.startswith(f"{table}:{row + 1}: "), (kind, rows[row], text)
                named += 1
            elif kind == "header":
                assert text.startswith(f"{table}:1: "), text
    assert refused > 250 and named > 150
