"""Teacher frames in a store: every utterance as it is alone, in any split, after any interruption."""

import numpy as np
import pytest
import soundfile
import torch

from m2d.audio.logmel import LogMel, LogMelConfig
from m2d.common.config import load_config
from m2d.common.errors import UserError
from m2d.data import extract
from m2d.data.datadir import DataDir, Segment
from m2d.data.merge import merge_index
from m2d.data.store import PackedStore
from m2d.teacher import load_teacher
from m2d.teacher.extract import TeacherOptions, extract_teacher

SAMPLES = {"a": 5000, "b": 16000, "c": 2480, "d": 15999, "e": 16160}


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    draw = np.random.default_rng(0)
    wavs = {u: (0.1 * draw.standard_normal(n)).astype(np.float32) for u, n in SAMPLES.items()}
    for utterance, wav in wavs.items():
        soundfile.write(folder / f"{utterance}.wav", wav, 16000, subtype="FLOAT")
    return folder, wavs


@pytest.fixture
def data(audio):
    return DataDir({u: str(audio[0] / f"{u}.wav") for u in SAMPLES})


@pytest.fixture
def teacher(hubert):
    return load_teacher(str(hubert), 2)


def run(data, out, teacher, **options):
    extract_teacher(data, teacher, TeacherOptions(
        out=str(out), model="tiny", **{"workers": 0, "batch_seconds": 2.5, **options}))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 2e-3), ("int8", 2e-2)])
def test_two_jobs_make_one_store_with_every_clip_as_alone(tmp_path, audio, data, teacher, dtype, tolerance):
    for job in (1, 2):
        run(data, tmp_path, teacher, job=job, jobs=2, dtype=dtype, workers=job - 1)
    merge_index(tmp_path)
    store = PackedStore(tmp_path)
    assert list(store.keys) == sorted(SAMPLES)
    assert store.info["teacher"] == {"model": "tiny", "layer": 2, "rate": 50.0, "sample_rate": 16000}
    assert (store.rate, store.width) == (50.0, 16)
    for utterance, wav in audio[1].items():
        rows = store.read(store.keys.find(utterance)).astype(np.float32)
        np.testing.assert_allclose(rows, teacher([torch.from_numpy(wav)])[0].numpy(), atol=tolerance)


def test_rows_fit_the_log_mel_as_documented(tmp_path, audio, data, teacher):
    run(data, tmp_path, teacher)
    merge_index(tmp_path)
    store = PackedStore(tmp_path)
    for utterance, wav in audio[1].items():
        rows = store.frames(store.keys.find(utterance))
        logmel_frames = LogMel(LogMelConfig())(torch.from_numpy(wav)).shape[-1]
        assert rows == (len(wav) - 80) // 320
        assert 1 <= logmel_frames - 2 * rows <= 3


def test_an_interrupted_job_goes_on_and_a_finished_one_rests(tmp_path, data, teacher, monkeypatch):
    monkeypatch.setattr("m2d.data.writer.PackedWriter.__init__.__kwdefaults__", {
        **extract.PackedWriter.__init__.__kwdefaults__, "shard_bytes": 1})  # every utterance a shard of its own
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(data, whole, teacher)
    merge_index(whole)

    class Interrupted(Exception):
        pass

    seen = []

    def write_batch(writer, model, batch, forward=extract._write_batch):
        if len(seen) == 2:
            raise Interrupted
        seen.append(batch)
        forward(writer, model, batch)

    monkeypatch.setattr(extract, "_write_batch", write_batch)
    with pytest.raises(Interrupted):
        run(data, broken, teacher, batch_seconds=1.1)
    with pytest.raises(UserError):
        merge_index(broken)
    monkeypatch.undo()
    run(data, broken, teacher)
    merge_index(broken)
    one, other = PackedStore(whole), PackedStore(broken)
    assert list(one.keys) == list(other.keys)
    for i, j in zip(map(one.keys.find, SAMPLES), map(other.keys.find, SAMPLES), strict=True):
        np.testing.assert_allclose(one.read(i), other.read(j), atol=2e-3)
    monkeypatch.setattr(extract, "length_batches", lambda *_: pytest.fail("a finished job was begun again"))
    run(data, broken, teacher)


def test_segments_are_cut_from_their_recording(tmp_path, audio, teacher):
    data = DataDir({"b": str(audio[0] / "b.wav")}, {"b-1": Segment("b", 0.25, 0.75), "b-2": Segment("b", 0.5, -1)})
    run(data, tmp_path, teacher)
    merge_index(tmp_path)
    store, wav = PackedStore(tmp_path), audio[1]["b"]
    for utterance, cut in (("b-1", wav[4000:12000]), ("b-2", wav[8000:])):
        expected = teacher([torch.from_numpy(cut)])[0].numpy()
        np.testing.assert_allclose(store.read(store.keys.find(utterance)), expected, atol=2e-3)


def test_unusable_audio_is_listed_and_too_much_of_it_is_an_error(tmp_path, audio, data, teacher):
    (tmp_path / "torn.wav").write_bytes(b"RIFF????WAVE")
    soundfile.write(tmp_path / "click.wav", np.zeros(399, np.float32), 16000)
    data.wav |= {"torn": str(tmp_path / "torn.wav"), "click": str(tmp_path / "click.wav")}
    run(data, tmp_path / "kept", teacher, max_bad_share=0.3)
    merge_index(tmp_path / "kept", max_bad_share=0.3)
    assert list(PackedStore(tmp_path / "kept").keys) == sorted(SAMPLES)
    listed = (tmp_path / "kept" / "teacher.1.failed").read_text()
    assert "torn.wav" in listed and "399 samples are less than one frame" in listed
    with pytest.raises(UserError, match="more than the 1 allowed"):
        run(data, tmp_path / "strict", teacher, max_bad_share=0.2)


@pytest.mark.parametrize(("options", "message"), [
    ({"device": "gpu"}, "device=gpu: not available"),
    ({"precision": "bfloat16", "device": "cpu"}, "for GPUs only"),
])
def test_settings_that_can_not_be_had_are_refused(tmp_path, data, teacher, options, message):
    with pytest.raises(UserError, match=message):
        run(data, tmp_path, teacher, **options)


@pytest.mark.parametrize(("word", "message"), [
    ("precision=half", "must be one of float32, bfloat16, float16"), ("dtype=float64", "must be one of float16, int8")])
def test_unknown_settings_are_refused(word, message):
    with pytest.raises(UserError, match=message):
        load_config(TeacherOptions, None, ["data=d", "out=o", word])
