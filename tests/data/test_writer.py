"""Writing packed frames: whole shards survive, damage is found, jobs are merged."""

import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2d.common.errors import OtherRunError, UserError
from m2d.data.format import quantise
from m2d.data.merge import is_merged, merge_index
from m2d.data.store import PackedStore
from m2d.data.writer import PackedWriter


def clip(seed, frames=10, width=8):
    return np.random.default_rng(seed).normal(-7, 4, (frames, width)).astype(np.float32)


def fill(directory, names, job=1, jobs=1, **options):
    with PackedWriter(directory, f"logmel.{job}", 8, jobs=jobs, **options) as writer:
        for name in names:
            if name not in writer.done:
                writer.append(name, clip(int(name[1:])))


def test_shards_are_plain_npy_files(tmp_path):
    fill(tmp_path, ["u1", "u2"])
    shard = np.load(tmp_path / "logmel.1-0.npy", mmap_mode="r")
    assert shard.shape == (20, 8) and shard.dtype == np.float16
    assert np.array_equal(shard[10:], clip(2).astype(np.float16))


def test_an_interrupted_job_goes_on_after_what_is_whole(tmp_path):
    with pytest.raises(KeyboardInterrupt), PackedWriter(tmp_path, "logmel.1", 8, shard_bytes=300) as writer:
        for i in range(1, 4):
            writer.append(f"u{i}", clip(i))
        raise KeyboardInterrupt
    again = PackedWriter(tmp_path, "logmel.1", 8, shard_bytes=300)
    assert again.done == {"u1", "u2", "u3"} and not again.finished
    with pytest.raises(UserError, match="run the feature stage"):
        merge_index(tmp_path)
    with again:
        again.append("u4", clip(4))
    assert PackedWriter(tmp_path, "logmel.1", 8).finished
    merge_index(tmp_path)
    store = PackedStore(tmp_path)
    assert list(store.keys) == ["u1", "u2", "u3", "u4"]
    assert np.array_equal(store.read(3), clip(4).astype(np.float16))


def test_a_killed_job_leaves_nothing_that_looks_whole(tmp_path):
    child = os.fork()
    if child == 0:
        writer = PackedWriter(tmp_path, "logmel.1", 8, shard_bytes=300)
        for i in range(1, 4):
            writer.append(f"u{i}", clip(i))
        os._exit(9)  # u3 is in a shard that was not finished
    os.waitpid(child, 0)
    assert PackedWriter(tmp_path, "logmel.1", 8).done == {"u1", "u2"}
    fill(tmp_path, ["u1", "u2", "u3"])
    merge_index(tmp_path)
    store = PackedStore(tmp_path)
    assert all(np.array_equal(store.read(i), clip(i + 1).astype(np.float16)) for i in range(3))


def edit(path):
    """Other frames, as many bytes."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("dtype", ["float16", "int8"])
@pytest.mark.parametrize("damage", [
    lambda path: os.truncate(path, 200), lambda path: path.unlink(), lambda path: path.write_bytes(b""), edit])
def test_a_damaged_shard_is_named_and_made_again(tmp_path, damage, dtype, caplog):
    fill(tmp_path, ["u1", "u2"], dtype=dtype)
    merge_index(tmp_path)
    assert is_merged(tmp_path)
    damage(tmp_path / "logmel.1-0.npy")
    with pytest.raises(UserError, match=r"logmel\.1-0\.npy: shard .*run the feature stage again"):
        PackedStore(tmp_path)
    assert not is_merged(tmp_path)
    fill(tmp_path, ["u1", "u2"], dtype=dtype)
    assert "logmel.1-0.npy" in caplog.text
    merge_index(tmp_path)
    assert np.abs(PackedStore(tmp_path).read(1) - clip(2)).max() < (0.02 if dtype == "float16" else 0.1)


def test_a_copy_with_new_times_is_checked_once_by_content(tmp_path, caplog):
    caplog.set_level("INFO")
    fill(tmp_path / "a", ["u1", "u2"], dtype="int8")
    merge_index(tmp_path / "a")
    PackedStore(tmp_path / "a")
    assert "content is checked" not in caplog.text
    shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=shutil.copy)
    for path in (tmp_path / "b").glob("*.npy"):
        os.utime(path, ns=(1, 1))
    PackedStore(tmp_path / "b")
    PackedStore(tmp_path / "b")
    assert caplog.text.count("content is checked") == 1


def test_statistics_are_those_of_all_frames(tmp_path):
    for job in (1, 2):
        fill(tmp_path, [f"u{job}", f"u{job + 2}"], job, 2)
    stats = merge_index(tmp_path)
    everything = np.concatenate([clip(i) for i in range(1, 5)]).astype(np.float16).astype(np.float64)
    assert stats["mean"] == pytest.approx(everything.mean()) and stats["std"] == pytest.approx(everything.std())
    assert stats["frames"] == 40
    assert json.loads((tmp_path / "stats.json").read_text()) == stats


def test_missing_jobs_double_utterances_and_other_settings(tmp_path):
    fill(tmp_path / "a", ["u1"], 1, 3)
    with pytest.raises(UserError, match="1 of 3 jobs are done"):
        merge_index(tmp_path / "a")
    for job in (1, 2):
        fill(tmp_path / "b", ["u1"], job, 2)
    with pytest.raises(UserError, match="'u1' is in two jobs"):
        merge_index(tmp_path / "b")
    fill(tmp_path / "c", ["u1"], 1, 2, info={"layer": 9})
    fill(tmp_path / "c", ["u2"], 2, 2, info={"layer": 8})
    with pytest.raises(OtherRunError, match="'layer'"):
        merge_index(tmp_path / "c")
    with pytest.raises(OtherRunError, match="'layer': 9"):
        PackedWriter(tmp_path / "c", "logmel.1", 8, jobs=2, info={"layer": 7})
    with pytest.raises(UserError, match="no finished job"):
        merge_index(tmp_path / "d")


def test_failures_are_listed_counted_and_bounded(tmp_path):
    with PackedWriter(tmp_path, "logmel.1", 8, max_failures=1) as writer:
        writer.append("u1", clip(1))
        writer.failed.add("u2", "x/u2.wav: empty file")
    assert (tmp_path / "logmel.1.failed").read_text() == "u2 x/u2.wav: empty file\n"
    with pytest.raises(UserError, match=r"1 of 2 utterances failed .* max_bad_share=0\.01"):
        merge_index(tmp_path)
    assert merge_index(tmp_path, max_bad_share=0.5)["frames"] == 10
    with PackedWriter(tmp_path / "b", "logmel.1", 8, max_failures=1) as writer:
        writer.failed.add("u1", "why")
        with pytest.raises(UserError, match=r"logmel\.1\.failed: lists 2 unusable"):
            writer.failed.add("u2", "why")


@pytest.mark.parametrize("name, frames, words", [
    ("a b", clip(0), "blanks"), ("", clip(0), "empty"), ("u1", clip(0), "twice"),
    ("u2", np.full((3, 8), 1e6), "not finite"), ("u2", np.full((3, 8), np.nan), "not finite")])
def test_bad_frames_and_ids_are_refused(tmp_path, name, frames, words):
    for dtype in ("float16", "int8"):
        writer = PackedWriter(tmp_path / dtype, "x", 8, dtype)
        writer.append("u1", clip(1))
        with pytest.raises(UserError, match=words):
            writer.append(name, frames * 1e3 if words == "not finite" else frames)


def test_a_full_disk_keeps_what_is_finished(tmp_path, monkeypatch):
    writer = PackedWriter(tmp_path, "logmel.1", 8, shard_bytes=100)
    writer.append("u1", clip(1))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        writer.append("u2", clip(2))
    monkeypatch.undo()
    assert PackedWriter(tmp_path, "logmel.1", 8).done == {"u1"}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_int8_is_within_half_a_step_of_each_frame(seed, size):
    frames = np.random.default_rng(seed).normal(0, size, (5, 64)).astype(np.float32)
    values, scale = quantise(frames)
    decoded = values * scale[:, None].astype(np.float32)
    assert (np.abs(decoded - frames).max(axis=1) <= 0.56 * np.abs(frames).max(axis=1) / 127).all()
    cosine = (decoded * frames).sum(1) / np.linalg.norm(decoded, axis=1) / np.linalg.norm(frames, axis=1)
    assert (cosine > 0.999).all()


def test_int8_of_silence_is_zero():
    values, scale = quantise(np.zeros((2, 4)))
    assert not values.any() and not scale.any()


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_the_content_does_not_depend_on_jobs_and_shards(tmp_path, dtype):
    """What binds later work to a store: equal for the same frames however they are sharded, different for others."""
    rng = np.random.default_rng(0)
    frames = {f"u{i}": rng.normal(size=(5 + i, 4)) for i in range(6)}

    def content(name, jobs, shard_bytes, changed=0.0):
        for job in range(jobs):
            with PackedWriter(tmp_path / name, f"job.{job}", 4, dtype, jobs=jobs, shard_bytes=shard_bytes) as writer:
                for utterance in list(frames)[job::jobs]:
                    writer.append(utterance, frames[utterance] + (changed if utterance == "u3" else 0))
        merge_index(tmp_path / name)
        return PackedStore(tmp_path / name).content

    one = content("one", 1, 1 << 30)
    assert len(one) == 32 and content("three", 3, 40) == one
    assert content("other", 1, 1 << 30, changed=0.5) != one
