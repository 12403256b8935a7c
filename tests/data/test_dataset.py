"""Crops, their alignment with the teacher, noise; loaders that give the same whatever reads them."""

import copy
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from m2d.audio.logmel import SILENCE
from m2d.common.errors import UserError
from m2d.data.dataset import PretrainDataset
from m2d.data.loader import IN_USE, PretrainLoader
from m2d.data.sampler import GlobalSampler
from m2d.training.data_modules.audio import decode_teacher

LENGTHS = [40, 90, 200, 33, 64, 120, 77, 150]
GOLDEN_LENGTH = (701, 349)  # log-mel frames and teacher frames of golden vector f: 696 and 348 are usable at patch 4


@pytest.fixture(scope="module")
def stores(tmp_path_factory, make_store):
    base = tmp_path_factory.mktemp("stores")
    return {"speech": make_store(base / "speech", LENGTHS, 80), "noise": make_store(base / "noise", [20, 100, 300], 80),
            "teacher": make_store(base / "teacher", [(n - 2) // 2 for n in LENGTHS], 16),
            "int8": make_store(base / "int8", [(n - 2) // 2 for n in LENGTHS], 16, "int8")}


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[k], other[k]) if torch.is_tensor(one[k]) else one[k] == other[k] for k in one)


def test_a_crop_is_a_run_of_frames_and_short_speech_ends_in_silence(stores):
    dataset = PretrainDataset(stores["speech"], 64, seed=1)
    for epoch in range(30):
        batch = dataset[epoch, np.arange(8)]
        assert batch["logmel"].shape == (8, 64, 80) and batch["logmel"].dtype == torch.float16
        assert batch["ids"] == [f"u{i:03d}" for i in range(8)] == [dataset.utterance(i) for i in range(8)]
        for i, length in enumerate(LENGTHS):
            start, valid = int(batch["start"][i]), int(batch["valid"][i])
            assert valid == min(length, 64) and 0 <= start <= max(0, length - 64)
            assert batch["logmel"][i, :valid, 0].tolist() == list(range(start, start + valid))
            assert (batch["logmel"][i, valid:] == torch.tensor(SILENCE).half()).all()


def test_starts_are_uniform_over_all_places_the_last_included(stores):
    dataset = PretrainDataset(stores["speech"], 30, seed=1)
    starts = [int(dataset[epoch, [3]]["start"]) for epoch in range(800)]
    assert np.bincount(starts, minlength=4).min() > 150 and max(starts) == LENGTHS[3] - 30


@pytest.mark.parametrize("kind", ["teacher", "int8"])
@pytest.mark.parametrize("patch", [2, 4, 16])
def test_teacher_rows_start_at_half_the_crop(stores, kind, patch):
    dataset = PretrainDataset(stores["speech"], 64, patch, stores[kind], seed=2)
    for epoch in range(20):
        batch = dataset[epoch, np.arange(8)]
        frames = decode_teacher(batch)
        assert frames.shape == (8, 32, 16) and frames.dtype == torch.float32
        for i, length in enumerate(LENGTHS):
            start, valid = int(batch["start"][i]), int(batch["teacher_valid"][i])
            usable = (length - 2) // 2 * 2 // patch * patch
            assert start <= max(0, usable - 64)
            assert valid == (32 if usable >= 64 else min(32, (length - 2) // 2))
            expected = np.arange(start // 2, start // 2 + valid)
            assert np.allclose(frames[i, :valid, 0], expected, atol=0.45 if kind == "int8" else 0)
            assert not frames[i, valid:].any()


@pytest.mark.parametrize(("rate", "patch"), [(100.0, 1), (50.0, 2), (25.0, 4), (6.25, 16), (100 / 3, 3)])
def test_teacher_rows_of_any_rate_start_with_the_crop(tmp_path, stores, rate, patch, make_store):
    """Row floor(j * rate / 100) goes with frame j."""
    per_row = round(100 / rate)
    info = {"teacher": {"rate": rate}}
    teacher = make_store(tmp_path, [n // per_row for n in LENGTHS], 16, info=info)
    dataset = PretrainDataset(stores["speech"], 48, patch, teacher, seed=2)
    for epoch in range(20):
        batch = dataset[epoch, np.arange(8)]
        assert batch["teacher"].shape == (8, 48 // per_row, 16)
        for start, valid, frames in zip(batch["start"], batch["teacher_valid"], batch["teacher"], strict=True):
            first = int(start) // per_row
            assert frames[:valid, 0].tolist() == list(range(first, first + int(valid)))
            assert valid == 48 // per_row or start < per_row


def test_a_rate_that_no_patch_holds_a_whole_number_of_is_refused(tmp_path, stores, make_store):
    teacher = make_store(tmp_path, [n // 4 for n in LENGTHS], 16, info={"teacher": {"rate": 25.0}})
    with pytest.raises(UserError, match=r"25 Hz: a patch of 2 frames .* does not hold a whole number"):
        PretrainDataset(stores["speech"], 64, 2, teacher)


def test_golden_length_of_usable_frames(tmp_path, make_store):
    speech = make_store(tmp_path / "s", [GOLDEN_LENGTH[0]], 80)
    teacher = make_store(tmp_path / "t", [GOLDEN_LENGTH[1]], 16)
    dataset = PretrainDataset(speech, 208, 4, teacher)
    starts = {int(dataset[epoch, [0]]["start"]) for epoch in range(4000)}
    assert max(starts) == 696 - 208 and min(starts) == 0


def test_noise_is_drawn_at_random_and_short_noise_repeats(stores):
    dataset = PretrainDataset(stores["speech"], 64, noise=stores["noise"], seed=3)
    clips, starts = set(), set()
    for epoch in range(60):
        noise = dataset[epoch, np.arange(8)]["noise"]
        assert noise.shape == (8, 64, 80)
        for row in noise:
            clip, first = int(row[0, 1]), int(row[0, 0])
            assert (row[:, 1] == clip).all()
            expected = np.arange(first, first + 64) % (20 if clip == 0 else 1000)
            assert row[:, 0].tolist() == expected.tolist()
            clips.add(clip)
            starts.add((clip, first))
    assert clips == {0, 1, 2} and len(starts) > 100


def test_a_sample_is_the_same_in_any_batch_and_without_the_other_stores(stores):
    full = PretrainDataset(stores["speech"], 64, 2, stores["teacher"], stores["noise"], seed=4)
    batch, alone = full[5, [2, 7, 1]], full[5, [7]]
    assert same({k: v[1:2] for k, v in batch.items()}, alone)
    assert "noise" not in PretrainDataset(stores["speech"], 64)[0, [0]]
    assert not torch.equal(full[6, [2]]["start"], full[5, [2]]["start"])
    other_seed = PretrainDataset(stores["speech"], 64, 2, stores["teacher"], stores["noise"], seed=5)
    assert not torch.equal(other_seed[5, np.arange(8)]["noise"], full[5, np.arange(8)]["noise"])


def test_utterances_without_teacher_are_left_out_if_few(tmp_path, stores, make_store):
    lengths = [64] * 120
    speech = make_store(tmp_path / "s", lengths, 80)
    teacher = make_store(tmp_path / "t", [n // 2 for n in lengths], 16, skip={50})
    dataset = PretrainDataset(speech, 32, 2, teacher)
    batch = dataset[0, np.arange(len(dataset))]
    assert len(dataset) == 119 and "u050" not in batch["ids"]
    assert torch.equal(batch["teacher"][:, 0, 1], batch["logmel"][:, 0, 1]) and dataset.utterance(50) == "u051"
    few = make_store(tmp_path / "few", [n // 2 for n in lengths], 16, skip=range(3, 9))
    with pytest.raises(UserError, match=r"no frames for 6 of 120 utterances .*'u003' is one"):
        PretrainDataset(speech, 32, 2, few)


def test_stores_that_do_not_fit(stores):
    with pytest.raises(UserError, match="whole number of patches of 16"):
        PretrainDataset(stores["speech"], 40, 16)
    with pytest.raises(UserError, match="must be float16, 80 wide"):
        PretrainDataset(stores["speech"], 64, noise=stores["teacher"])


def collect(dataset, workers, step=0, **options):
    sampler = GlobalSampler(len(dataset), 3, 4, seed=1, **options)
    sampler.step = step
    return [copy.deepcopy(batch) for batch in PretrainLoader(dataset, sampler, workers)]


@pytest.mark.parametrize("kind", ["teacher", "int8"])
def test_batches_do_not_depend_on_the_number_of_workers(stores, kind):
    dataset = PretrainDataset(stores["speech"], 64, 2, stores[kind], stores["noise"], seed=4)
    one, two = collect(dataset, 0), collect(dataset, 2)
    assert len(one) == 8 and all(map(same, one, two))
    assert all(map(same, one[3:], collect(dataset, 1, step=3)))
    assert all(v.is_contiguous() for v in two[0].values() if torch.is_tensor(v))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_stays_until_three_more_are_drawn_and_its_memory_is_used_again(stores, workers):
    dataset = PretrainDataset(stores["speech"], 64, 2, stores["int8"], stores["noise"], seed=4)
    sampler = GlobalSampler(len(dataset), 3, 40, seed=1)
    places, held = set(), []
    for batch, key in zip(PretrainLoader(dataset, sampler, workers), sampler, strict=True):
        held = [(batch, key), *held[:IN_USE - 1]]
        assert all(same(one, dataset[its]) for one, its in held)
        places.add(batch["logmel"].data_ptr())
    assert len(places) == IN_USE + 4 * workers < len(sampler)


def test_shared_memory_that_does_not_suffice_is_told_at_once(stores, monkeypatch):
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=10**4))
    dataset = PretrainDataset(stores["speech"], 64, 2)
    sampler = GlobalSampler(len(dataset), 3, 1)
    with pytest.raises(UserError, match=r"/dev/shm: 0\.00 GB are free, .* use fewer workers or a smaller batch"):
        next(iter(PretrainLoader(dataset, sampler, workers=1)))
    assert len(list(PretrainLoader(dataset, sampler))) == len(sampler)  # one process needs none


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_vanishes_during_training_is_named(tmp_path, workers, make_store):
    speech = make_store(tmp_path, LENGTHS, 80)
    dataset = PretrainDataset(speech, 64)
    next(tmp_path.glob("x*.npy")).unlink()
    with pytest.raises(UserError, match=r"^\S*x\.1-0\.npy: can't be read") as error:
        collect(dataset, workers)
    assert "\n" not in str(error.value)


def test_an_error_outside_the_loop_does_not_leave_the_process_hanging(stores):
    """Workers ignore signals, so an exit with the loop still referenced by the traceback must end them itself."""
    script = ("import sys\nfrom m2d.data.dataset import PretrainDataset\nfrom m2d.data.loader import PretrainLoader\n"
              "from m2d.data.sampler import GlobalSampler\nfrom m2d.data.store import PackedStore\n"
              "data = PretrainDataset(PackedStore(sys.argv[1]), 64)\n"
              "batches = iter(PretrainLoader(data, GlobalSampler(8, 2, 1000), 1))\n"
              "next(batches)\nraise SystemExit(3)\n")
    done = subprocess.run([sys.executable, "-c", script, str(stores["speech"].directory)], timeout=120)
    assert done.returncode == 3


class _KillsItsWorker(PretrainDataset):
    def fill(self, *_):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_dead_worker_is_one_clear_line(stores):
    dataset = _KillsItsWorker(stores["speech"], 64)
    with pytest.raises(UserError, match="a worker reading it died") as error:
        collect(dataset, 1)
    assert str(stores["speech"].directory) in str(error.value) and "\n" not in str(error.value)
