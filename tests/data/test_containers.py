"""Corpora stored as shards, tables and manifests: to data directories, and on to log-mels."""

import io
import json
import tarfile

import datasets
import h5py
import lhotse
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile

from m2d.audio.wave import read_audio
from m2d.common.errors import UserError
from m2d.data.corpora.lhotse import read_lhotse
from m2d.data.corpora.rows import read_hdf5, read_huggingface, read_parquet
from m2d.data.corpora.webdataset import read_webdataset
from m2d.data.datadir import DataDir


def flac(seconds=0.1):
    stream = io.BytesIO()
    soundfile.write(stream, np.zeros(round(16000 * seconds)), 16000, format="FLAC")
    return stream.getvalue()


def shard(path, files):
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def whole(data, tmp_path):
    """A directory that its files give back, and whose audio can be read."""
    data.write(tmp_path / "written")
    assert DataDir.read(tmp_path / "written") == data
    assert all(len(read_audio(*source[:1])) for source in map(data.source, data.utterances))
    return data


def test_webdataset_shards(tmp_path):
    shard(tmp_path / "a-000.tar", {"s1/u1.flac": flac(), "s1/u1.json": json.dumps({"text": "ONE  TWO", "speaker": 7,
                                                                                  "labels": ["x", "y"]}).encode(),
                                   "s1/u2.flac": flac(), "s1/u2.txt": b"THREE\n"})
    shard(tmp_path / "a-001.tar", {"s2/u3.wav.flac": flac(), "s2/u3.cls": b"5", "readme.md": b"no audio"})
    data = whole(read_webdataset(tmp_path), tmp_path)
    assert data.utterances == ["s1-u1", "s1-u2", "s2-u3"]
    assert data.text == {"s1-u1": "ONE TWO", "s1-u2": "THREE"} and not data.utt2spk
    assert data.labels == {"s1-u1": "x,y", "s2-u3": "5"}


def test_a_shard_without_audio(tmp_path):
    shard(tmp_path / "x.tar", {"a.json": b"{}"})
    with pytest.raises(UserError, match=r"no audio in it: expected .*KEY\.flac"):
        read_webdataset(tmp_path)


def test_the_same_id_in_two_shards_is_refused(tmp_path):
    for name in "ab":
        shard(tmp_path / f"{name}.tar", {"u.flac": flac()})
    with pytest.raises(UserError, match=r"b\.tar::u\.flac and .*a\.tar::u\.flac have the same id 'u'"):
        read_webdataset(tmp_path)


def test_parquet(tmp_path):
    for name in "ab":
        table = {"id": [f"{name}/1.wav", f"{name}/2.wav"], "audio": [{"bytes": flac(), "path": "x"}] * 2,
                 "sentence": ["ONE", ""], "client_id": ["p", "q"]}
        pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / f"{name}.parquet")
    data = whole(read_parquet(tmp_path), tmp_path)
    assert data.utterances == ["a-1", "a-2", "b-1", "b-2"] and data.utt2spk["b-2"] == "q"
    assert data.text == {"a-1": "ONE", "b-1": "ONE"}


def test_parquet_without_ids_or_audio(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"wav": [flac()] * 11}), tmp_path / "x.parquet")
    assert whole(read_parquet(tmp_path / "x.parquet"), tmp_path).utterances[:2] == ["x-00", "x-01"]
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"no audio in it: expected \*\.parquet files with a column audio"):
        read_parquet(tmp_path)


def test_a_hugging_face_dataset_on_disk(tmp_path):
    table = datasets.Dataset.from_dict({"audio": [{"bytes": flac(), "path": None}] * 3, "label": [0, 1, 1]})
    table = table.cast_column("audio", datasets.Audio()).cast_column("label", datasets.ClassLabel(names=["dog", "cat"]))
    table.save_to_disk(tmp_path / "pets")
    data = whole(read_huggingface(tmp_path / "pets"), tmp_path)
    assert data.labels == {"pets-0": "dog", "pets-1": "cat", "pets-2": "cat"}
    datasets.DatasetDict({"train": table}).save_to_disk(tmp_path / "split")
    with pytest.raises(UserError, match="holds the splits train: name the folder of one"):
        read_huggingface(tmp_path / "split")
    with pytest.raises(UserError, match="no dataset of audio that save_to_disk left"):
        read_huggingface(tmp_path)


def test_hdf5(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["s1/u1"] = np.frombuffer(flac(), np.uint8)
        file["s1/u2"] = np.zeros(800, np.int16)
        file["s1/u2"].attrs.update({"sampling_rate": 8000, "text": "EIGHT"})
    data = whole(read_hdf5(tmp_path), tmp_path)
    assert data.utterances == ["s1-u1", "s1-u2"] and data.text == {"s1-u2": "EIGHT"}


def test_lhotse_cuts(tmp_path):
    soundfile.write(tmp_path / "rec.wav", np.zeros(32000), 16000)
    recording = lhotse.Recording.from_file(tmp_path / "rec.wav", recording_id="rec")
    recording.sources[0].source = "rec.wav"  # relative to the manifest
    parts = [lhotse.SupervisionSegment("s1", "rec", 0.0, 1.0, text="HELLO  WORLD", speaker="p"),
             lhotse.SupervisionSegment("s2", "rec", 1.0, 1.0, speaker="p")]
    cut = lhotse.MonoCut("whole", 0.0, 2.0, 0, supervisions=parts, recording=recording)
    first = cut.truncate(offset=0.0, duration=1.0, preserve_id=True).with_id("first")
    second = cut.truncate(offset=1.0, duration=1.0, preserve_id=True).with_id("second")
    padded = cut.pad(duration=3.0).with_id("padded")
    lhotse.CutSet.from_cuts([first, second, padded]).to_file(tmp_path / "cuts.jsonl.gz")
    data = whole(read_lhotse(tmp_path / "cuts.jsonl.gz"), tmp_path)
    assert data.utterances == ["first", "second"] and data.text == {"first": "HELLO WORLD"}
    assert data.utt2spk == {"first": "p", "second": "p"} and data.segments["second"].start == 1.0
    for content, said in ((b"broken", "not readable as a manifest"), (None, "no such manifest")):
        path = tmp_path / "other.jsonl"
        if content:
            path.write_bytes(content)
        with pytest.raises(UserError, match=said):
            read_lhotse(path if content else tmp_path / "none.jsonl")
