"""Clips are cut, padded, read once; features are whole, kept and restartable."""

import json

import numpy as np
import pytest
import soundfile
import torch

from m2d.audio.logmel import SILENCE, LogMel
from m2d.common.errors import UserError
from m2d.evaluation import features as features_module
from m2d.evaluation.clips import ClipDataset, statistics
from m2d.evaluation.features import compute_features, unreadable
from m2d.evaluation.prepare import prepare
from m2d.evaluation.tables import Clip
from m2d.evaluation.task import Task
from m2d.evaluation.tasks import TASKS
from m2d.pretrained.models import Embedder


class Loudness(Embedder):
    """Two numbers per clip; counts the clips it has seen and can be made to fail."""

    def __init__(self, identity="loudness", fail_after=10**9):
        super().__init__(identity, "cpu")
        self.seen, self.fail_after = 0, fail_after

    def __call__(self, waves):
        self.seen += len(waves)
        if self.seen > self.fail_after:
            raise KeyboardInterrupt
        return torch.stack([waves.abs().mean(1), waves.square().mean(1)], 1)


@pytest.fixture
def task(miniatures):
    return prepare(TASKS.get("us8k"), miniatures["us8k"])


def test_clips_are_cut_at_the_start_and_padded_at_the_end(tmp_path):
    ramp = np.arange(16000, dtype=np.float32) / 32768
    soundfile.write(tmp_path / "a.wav", ramp, 16000, subtype="PCM_16")
    clips = [Clip("a.wav", "x", "train"), Clip("none.wav", "x", "test")]
    for seconds, samples in ((0.25, 4000), (2.5, 40000)):
        dataset = ClipDataset(Task("t", "T", "env", str(tmp_path), seconds, "", ["x"], clips=clips), clips, 16000)
        wave, fault = dataset[0]
        assert wave.shape == (samples,) and not fault
        assert np.array_equal(wave[:16000], ramp[:samples]) and not wave[16000:].any()
    wave, fault = dataset[1]
    assert not wave.any() and "none.wav: no such audio file" in fault


def test_features_are_computed_once(task, tmp_path):
    model = Loudness()
    first = compute_features(tmp_path, task, model, 8, 0)
    assert first.shape == (40, 2) and np.isfinite(first).all() and model.seen == 40
    assert np.array_equal(compute_features(tmp_path, task, model, 8, 0), first) and model.seen == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["features.json", "features.npy"]
    compute_features(tmp_path, task, Loudness("louder"), 8, 0)  # another model: anew
    assert json.loads((tmp_path / "features.json").read_text())["key"]["model"] == "louder"


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(path.read_bytes()[:200]), lambda path: path.write_bytes(b""),
    lambda path: np.save(path, np.array([{}], object)), lambda path: np.save(path, np.zeros(3))])
def test_a_damaged_array_is_computed_anew(task, tmp_path, damage):
    first = compute_features(tmp_path, task, Loudness(), 8, 0).copy()
    damage(tmp_path / "features.npy")
    assert np.array_equal(compute_features(tmp_path, task, Loudness(), 8, 0), first)


@pytest.mark.parametrize("workers", [0, 2])
def test_order_and_values_do_not_depend_on_the_batch(task, tmp_path, workers):
    alone = compute_features(tmp_path / "a", task, Loudness(), 1, 0)
    batch = compute_features(tmp_path / "b", task, Loudness(), 16, workers)
    np.testing.assert_allclose(alone, batch, rtol=1e-6)


def test_interrupted_work_goes_on(task, tmp_path, monkeypatch):
    whole = compute_features(tmp_path / "whole", task, Loudness(), 8, 0)
    monkeypatch.setattr(features_module, "SAVE_EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        compute_features(tmp_path / "part", task, Loudness(fail_after=24), 8, 0)
    assert not (tmp_path / "part/features.npy").exists()
    again = Loudness()
    rest = compute_features(tmp_path / "part", task, again, 8, 0)
    assert again.seen == 16 and np.array_equal(rest, whole)
    with pytest.raises(KeyboardInterrupt):
        compute_features(tmp_path / "other", task, Loudness(fail_after=24), 8, 0)
    other = Loudness("other")  # what another model left behind is not gone on with
    compute_features(tmp_path / "other", task, other, 8, 0)
    assert other.seen == 40


def test_a_file_that_breaks_in_the_middle_is_nan_and_listed(own_copy, tmp_path):
    root = own_copy("us8k")
    path = root / "audio/fold4/100401-1-0-1.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal(32000) / 9, 16000, format="FLAC")
    path.write_bytes(path.read_bytes()[:2000])  # the header still promises all of it
    task = prepare(TASKS.get("us8k"), root)
    assert not task.unreadable
    rows = compute_features(tmp_path, task, Loudness(), 8, 0)
    bad = [index for index, clip in enumerate(task.clips) if clip.file_name.endswith("100401-1-0-1.wav")]
    assert np.flatnonzero(np.isnan(rows).any(1)).tolist() == bad
    assert len(unreadable(tmp_path)) == 1 and "100401-1-0-1.wav" in unreadable(tmp_path)[0]


def test_too_many_broken_files_are_an_error(task, tmp_path):
    gone = [clip._replace(file_name=f"no/{clip.file_name}") for clip in task.clips]
    with pytest.raises(UserError, match=r"US8K: \d+ clips can't be decoded, for example"):
        compute_features(tmp_path, Task(**{**vars(task), "clips": gone}), Loudness(), 8, 0)


def test_statistics_are_those_of_the_padded_training_clips(miniatures, tmp_path):
    task = prepare(TASKS.get("nsynth"), miniatures["nsynth"])
    train = [clip for clip in task.clips if clip.part == "train"]
    values = torch.stack([LogMel()(torch.from_numpy(wave)) for wave, _ in ClipDataset(task, train, 16000)])
    mean, std = statistics(task, tmp_path, 3, 0)
    assert mean == pytest.approx(values.mean().item(), rel=1e-5)
    assert std == pytest.approx(values.std().item(), rel=1e-4)
    assert values[0, :, -1].max().item() == pytest.approx(SILENCE, abs=1e-4)  # 0.4 s of sound in 4 s
    kept = json.loads((tmp_path / "stats.json").read_text())
    (tmp_path / "stats.json").write_text(json.dumps(kept | {"mean": 1.0, "std": 2.0}))
    assert statistics(task, tmp_path, 3, 0) == (1.0, 2.0)  # kept
    task.clips = task.clips[1:]
    assert statistics(task, tmp_path, 3, 0) != (1.0, 2.0)  # another table: anew
