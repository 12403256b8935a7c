"""Reading packed frames, and what is said of a broken store."""

import os
import pickle

import numpy as np
import pytest

from m2d.common.errors import UserError
from m2d.data.merge import merge_index
from m2d.data.store import PackedStore
from m2d.data.writer import PackedWriter


def clip(i, width=16):
    return np.random.default_rng(i).normal(0, 1, (5 + i, width)).astype(np.float32)


def make(directory, dtype="float16", count=6):
    with PackedWriter(directory, "x.1", 16, dtype, shard_bytes=600, info={"what": "test"}) as writer:
        for i in reversed(range(count)):
            writer.append(f"é{i}", clip(i))
    merge_index(directory)
    return PackedStore(directory)


def test_every_crop_of_every_clip(tmp_path):
    store = make(tmp_path)
    assert len(store) == 6 and list(store.keys) == [f"é{i}" for i in range(6)] and store.info == {"what": "test"}
    assert len(store._shards) > 1
    for i in range(6):
        assert store.keys.find(f"é{i}") == i and store.frames(i) == 5 + i
        assert np.array_equal(store.read(i), clip(i).astype(np.float16))
        for start in range(5 + i):
            assert np.array_equal(store.read(i, start, 3), clip(i).astype(np.float16)[start:start + 3])
    assert "é3" in store.keys and "é9" not in store.keys
    assert store.keys.find("é9") == -1
    with pytest.raises(IndexError, match="é0 has 5 frames"):
        store.read(0, 5)


def test_int8_store_is_read_as_float32(tmp_path):
    store = make(tmp_path, "int8")
    for i in range(6):
        frames = store.read(i)
        assert frames.dtype == np.float32 and np.abs(frames - clip(i)).max() < 0.02
    assert np.array_equal(store.read(5, 4, 2), store.read(5)[4:6])


def test_few_files_are_kept_open(tmp_path, monkeypatch):
    monkeypatch.setattr("m2d.data.store.MAX_OPEN_SHARDS", 2)
    store = make(tmp_path)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    for i in [0, 5, 1, 4, 2, 3] * 3:
        assert np.array_equal(store.read(i), clip(i).astype(np.float16))
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_pickled_store_shares_the_index_file(tmp_path):
    store = make(tmp_path)
    data = pickle.dumps(store)
    assert len(data) < 1500
    assert np.array_equal(pickle.loads(data).read(3), store.read(3))
    assert isinstance(store.entries.base, np.memmap)


def test_the_text_index_is_the_truth(tmp_path):
    make(tmp_path)
    (tmp_path / "index.npy").unlink()
    assert len(PackedStore(tmp_path)) == 6
    (tmp_path / "index.npy").write_bytes(b"rubbish")
    stamp = (tmp_path / "index").stat().st_mtime_ns
    os.utime(tmp_path / "index.npy", ns=(stamp, stamp))
    assert len(PackedStore(tmp_path)) == 6


def corrupt(directory, change):
    path = directory / "index"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(change(lines)))


@pytest.mark.parametrize("change, words", [
    (lambda lines: lines[:3], r"has 3 lines where meta\.json says 6"),
    (lambda lines: [*lines[:-1], lines[-1][:-4]], "line 6"),
    (lambda lines: [lines[0], "é1\n", *lines[2:]], r"line 2 \(expected"),
    (lambda lines: [lines[0], lines[1].replace("x.1", "y.1"), *lines[2:]], r"line 2 \(shard 'y\.1-\d' is not in meta"),
    (lambda lines: [lines[1], lines[0], *lines[2:]], r"line 2 \(not in order"),
    (lambda lines: [lines[0], lines[0], *lines[2:]], r"line 2 \(not in order"),
    (lambda lines: [lines[0].replace(":5\n", ":5000\n"), *lines[1:]], r"line 1 \(.*outside its shard"),
    (lambda lines: [lines[0].replace(":5\n", ":five\n"), *lines[1:]], "whole numbers"),
    (lambda lines: [], "empty index"),
])
def test_a_corrupt_index_is_named_with_the_line(tmp_path, change, words):
    make(tmp_path)
    corrupt(tmp_path, change)
    with pytest.raises(UserError, match=words) as error:
        PackedStore(tmp_path)
    assert str(tmp_path / "index") in str(error.value)
    merge_index(tmp_path)
    assert len(PackedStore(tmp_path)) == 6


def test_no_store_there_and_broken_meta(tmp_path):
    with pytest.raises(UserError, match=r"meta\.json: no such file"):
        PackedStore(tmp_path)
    make(tmp_path)
    for text in ("{", "[]", '{"dtype": "float64"}', '{"dtype": "int8"}'):
        (tmp_path / "meta.json").write_text(text)
        with pytest.raises(UserError, match=r"meta\.json: not the description"):
            PackedStore(tmp_path)
    make(tmp_path / "b")
    (tmp_path / "b" / "index").unlink()
    with pytest.raises(UserError, match="index: no such index"):
        PackedStore(tmp_path / "b")


def test_a_shard_cut_or_gone_after_opening_is_named(tmp_path):
    store = make(tmp_path)
    name = store._shards[int(store.entries[0]["shard"])]
    os.truncate(tmp_path / f"{name}.npy", 140)
    with pytest.raises(UserError, match=rf"{name}\.npy: cut off"):
        store.read(0)
    other = make(tmp_path / "b")
    for shard in (tmp_path / "b").glob("x*.npy"):
        shard.unlink()
    with pytest.raises(UserError, match=r"x\.1-\d\.npy: can't be read \(No such file"):
        other.read(0)


def test_short_reads_go_on_where_they_ended(tmp_path, monkeypatch):
    """Network file systems give less than was asked for; that is no cut file."""
    store = make(tmp_path)
    expected, whole = store.read(0), os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, views, at: whole(file, [memoryview(views[0])[:7]], at))
    assert np.array_equal(store.read(0), expected)
