"""Stages 0 and 1 by their commands, on files as people have them, the broken ones included."""

import inspect
import json
import sys

import numpy as np
import pytest
import soundfile
import torch

from m2d.audio.logmel import LogMel
from m2d.audio.wave import read_audio
from m2d.bin import extract_logmel, merge_features, prepare_data
from m2d.common import cli
from m2d.common.errors import OtherRunError, UserError
from m2d.data.datadir import DataDir
from m2d.data.extract import JobOptions
from m2d.data.store import PackedStore


def command(module, *words):
    """Run an entry point in this process, as `python -m` would."""
    table, main = (prepare_data.PrepareConfig, prepare_data.prepare) if module is prepare_data else (
        inspect.get_annotations(module.main, eval_str=True)["options"], module.main)
    main(cli.parse(table, "", list(words)))


@pytest.fixture
def corpus(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "audio"
    folder.mkdir()
    for i in range(6):
        soundfile.write(folder / f"ok{i}.wav", rng.normal(0, 0.1, 4000 + 1000 * i), 16000)
    soundfile.write(folder / "stereo.wav", rng.normal(0, 0.1, (44100, 2)), 44100, subtype="PCM_24")
    soundfile.write(folder / "tiny.wav", rng.normal(0, 0.1, 100), 16000)
    command(prepare_data, "corpus=folder", f"root={folder}", f"out={tmp_path}/data")
    return tmp_path


def add_broken(corpus):
    folder = corpus / "audio"
    soundfile.write(folder / "empty.wav", np.zeros(0), 16000)
    (folder / "page.wav").write_text("<html>404</html>")
    soundfile.write(folder / "cut.flac", np.random.default_rng(1).normal(0, 0.1, 32000), 16000)
    (folder / "cut.flac").write_bytes((folder / "cut.flac").read_bytes()[:20000])
    command(prepare_data, "corpus=folder", f"root={folder}", f"out={corpus}/data2")


def extract(corpus, *words, data="data", jobs=2):
    for job in range(1, jobs + 1):
        command(extract_logmel, f"data={corpus}/{data}", f"out={corpus}/dump", f"job={job}", f"jobs={jobs}", *words)


def test_features_are_those_of_the_front_end(corpus):
    extract(corpus)
    command(merge_features, f"dir={corpus}/dump")
    store, data, logmel = PackedStore(corpus / "dump"), DataDir.read(corpus / "data"), LogMel()
    assert list(store.keys) == data.utterances and store.width == 80
    for i, utterance in enumerate(store.keys):
        expected = logmel(torch.from_numpy(read_audio(data.wav[utterance]))).T.half().numpy()
        assert np.array_equal(store.read(i), expected)
    assert store.frames(store.keys.find("stereo")) == 101 and store.frames(store.keys.find("tiny")) == 1
    assert store.info["logmel"]["f_min"] == 50.0
    stats = json.loads((corpus / "dump" / "stats.json").read_text())
    assert stats["frames"] == store.total_frames and -16 < stats["mean"] < 0 < stats["std"]


def test_done_again_is_nothing_to_do(corpus, caplog):
    caplog.set_level("INFO")
    extract(corpus)
    command(merge_features, f"dir={corpus}/dump")
    assert "already done" not in caplog.text
    before = {path: path.stat().st_mtime_ns for path in (corpus / "dump").iterdir()}
    extract(corpus)
    command(merge_features, f"dir={corpus}/dump")
    assert caplog.text.count("already done") == 3
    assert {path: path.stat().st_mtime_ns for path in (corpus / "dump").iterdir()} == before


def test_unreadable_files_are_listed_with_the_reason(corpus):
    add_broken(corpus)
    extract(corpus, "max_bad_share=0.3", data="data2")
    failed = "".join((corpus / "dump" / f"logmel.{job}.failed").read_text() for job in (1, 2)).splitlines()
    assert [line.split()[0] for line in failed] == ["cut", "empty", "page"]
    assert "no samples" in failed[1] and "not readable as audio" in failed[2] and str(corpus) in failed[0]
    with pytest.raises(UserError, match="3 of 11 utterances failed"):
        command(merge_features, f"dir={corpus}/dump")
    command(merge_features, f"dir={corpus}/dump", "max_bad_share=0.3")
    assert len(PackedStore(corpus / "dump")) == 8


def test_too_many_unreadable_files_stop_the_job_and_can_be_mended(corpus):
    add_broken(corpus)
    with pytest.raises(UserError, match=r"logmel\.1\.failed: lists 1 unusable utterances, more than the 0 allowed"):
        extract(corpus, data="data2")
    assert (corpus / "dump" / "logmel.1.failed").read_text().startswith("cut ")
    for name in ("empty.wav", "page.wav", "cut.flac"):
        soundfile.write(corpus / "audio" / name, np.zeros(16000), 16000)
    extract(corpus, data="data2")
    command(merge_features, f"dir={corpus}/dump")
    assert len(PackedStore(corpus / "dump")) == 11 and not (corpus / "dump" / "logmel.1.failed").read_text()


def test_features_of_other_data_are_not_taken_for_these(corpus):
    extract(corpus)
    soundfile.write(corpus / "audio" / "more.wav", np.zeros(1600), 16000)
    command(prepare_data, "corpus=folder", f"root={corpus}/audio", f"out={corpus}/more")
    with pytest.raises(OtherRunError, match="now it is"):
        extract(corpus, data="more")


def test_segments_are_read_where_they_are(corpus):
    command(prepare_data, "corpus=folder", f"root={corpus}/audio", f"out={corpus}/cut", "segment_seconds=0.3")
    command(extract_logmel, f"data={corpus}/cut", f"out={corpus}/d")
    command(merge_features, f"dir={corpus}/d")
    store, wav = PackedStore(corpus / "d"), read_audio(corpus / "audio" / "ok5.wav")
    parts = [name for name in store.keys if name.startswith("ok5-")]
    assert len(parts) == 2
    second = LogMel()(torch.from_numpy(wav[round(0.281 * 16000):])).T.half().numpy()  # cut to the millisecond
    assert np.array_equal(store.read(store.keys.find(parts[1])), second)


def test_a_wrong_option_and_a_missing_directory(corpus, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["extract_logmel", f"data={corpus}/none", f"out={corpus}/x"])
    with pytest.raises(SystemExit):
        cli.run(JobOptions, extract_logmel.main, "")
    assert capsys.readouterr().err.startswith("error: ")
    with pytest.raises(UserError, match="did you mean 'jobs'"):
        command(extract_logmel, f"data={corpus}/data", "out=x", "jops=3")
