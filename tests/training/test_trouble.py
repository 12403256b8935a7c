"""What goes wrong in a run, and what is said and kept then."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from m2d.training.checkpoint import checkpoints, read_checkpoint


def shard(store):
    return next(path for path in store.glob("*.npy") if path.name != "index.npy")


def poison(store, utterances):
    """Make the stored frames of the utterances NaN, as a broken feature stage might, at the time that is recorded."""
    written = shard(store).stat().st_mtime_ns
    rows = np.lib.format.open_memmap(shard(store), "r+")
    for line in (store / "index").read_text().splitlines():
        utterance, place = line.split()
        _, offset, frames = place.split(":")
        if utterance in utterances:
            rows[int(offset):int(offset) + int(frames)] = np.nan
    del rows  # written out and closed
    os.utime(shard(store), ns=(written, written))


def metrics(exp):
    return [json.loads(line) for line in (exp / "metrics.jsonl").read_text().splitlines()]


def test_nan_steps_are_skipped_counted_and_named(own_options, own_stores, finish, tmp_path):
    poison(own_stores / "speech", {"utt07"})
    state = finish(own_options)
    bad = [json.loads(line) for line in (tmp_path / "exp/skipped.jsonl").read_text().splitlines()]
    assert len(bad) == 3  # once in each epoch
    assert all("utt07" in line["utterances"] and line["loss"] is None for line in bad)
    assert state["monitor"]["skipped"] == 3
    assert all(value.isfinite().all() for value in state["model"].values())
    lines = [line for line in metrics(tmp_path / "exp") if "loss" in line]
    assert [line["step"] for line in lines] == list(range(1, 16))
    assert [line["step"] for line in lines if line["skipped"]] == [line["step"] for line in bad]
    assert "is not finite and was skipped" in (tmp_path / "exp/train.log").read_text()


def test_a_skipped_step_changes_no_weight_and_no_moment(own_options, own_stores, finish, tmp_path):
    """All steps are bad: the weights and the optimiser's state are those of the start."""
    poison(own_stores / "speech", {f"utt{i:02d}" for i in range(20)})
    options = [*own_options, "run.log_steps=1", "run.checkpoint_minutes=0", "run.keep_last=20", "run.max_skipped=16"]
    finish(options)
    first, *_, last = (read_checkpoint(path) for path in checkpoints(tmp_path / "exp/checkpoints"))
    assert last["step"] == 15
    online = [name for name in first["model"] if not name.startswith("target.")]
    assert all(first["model"][name].equal(last["model"][name]) for name in online)
    assert all(not moment["exp_avg"].any() and moment["step"] == 0 for moment in last["optimizer"]["state"].values())


def test_nothing_but_nan_stops_with_a_report(own_options, own_stores, start, tmp_path):
    poison(own_stores / "speech", {f"utt{i:02d}" for i in range(20)})
    run = start([*own_options, "run.max_skipped=3", "run.log_steps=2"])
    assert run.wait() == 1
    said = run.said()
    assert re.search(r"error: stopped: 3 steps in a row were not finite, the last is step 3: loss nan  m2d nan  "
                     r"off nan .*grad_norm nan; utterances( utt\d\d){4} ", said)
    assert "optim.base_lr" in said


@pytest.fixture
def long_options(own_options):
    """20 epochs of 5 steps on the copy, a checkpoint after every step."""
    return [*own_options, "optim.epochs=20", "run.valid_epochs=20", "run.checkpoint_minutes=0", "data.workers=1"]


def test_shard_truncated_in_the_middle_of_a_run_is_named(long_options, own_stores, start, finish, tmp_path):
    lost = shard(own_stores / "teacher")
    whole = lost.read_bytes()
    finish([*long_options, f"run.exp={tmp_path}/plain"])
    run = start(long_options)
    wait_for_metrics(tmp_path / "exp", run)
    os.truncate(lost, 200)
    assert run.wait() == 1
    assert f"error: {lost}: cut off at byte" in run.said()
    lost.write_bytes(whole)
    assert_same_end(long_options, finish, tmp_path)


def test_vanished_file_is_named(own_options, own_stores, start):
    lost = shard(own_stores / "teacher")
    lost.unlink()
    run = start(own_options)
    assert run.wait() == 1
    assert f"error: {lost}: shard is missing" in run.said()


def test_run_goes_on_with_a_vanished_file_that_it_has_open(long_options, own_stores, start, finish, tmp_path):
    finish([*long_options, f"run.exp={tmp_path}/plain"])
    run = start(long_options)
    wait_for_metrics(tmp_path / "exp", run)
    shard(own_stores / "teacher").unlink()
    assert not (tmp_path / "exp/done").exists()
    assert run.wait() == 0, run.said()
    assert_same_metrics(tmp_path)


def test_truncated_shard_is_named_before_training(own_options, own_stores, start):
    broken = shard(own_stores / "noise")
    os.truncate(broken, broken.stat().st_size - 100)
    run = start(own_options)
    assert run.wait() == 1
    assert f"error: {broken}: shard has" in run.said()


def test_corrupt_index_is_named_with_its_line(own_options, own_stores, start):
    index = own_stores / "speech/index"
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join([*lines[:4], "utt04 nonsense\n", *lines[5:]]))
    run = start(own_options)
    assert run.wait() == 1
    assert f"error: {index}: corrupt at line 5" in run.said()


def test_killed_loader_worker_names_the_data(long_options, own_stores, start, finish, tmp_path):
    finish([*long_options, f"run.exp={tmp_path}/plain"])
    run = start(long_options)
    wait_for_metrics(tmp_path / "exp", run)
    workers = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    os.kill(int(workers[0]), 9)
    assert run.wait() == 1
    assert f"error: {own_stores}/speech: a worker reading it died" in run.said()
    assert_same_end(long_options, finish, tmp_path)


def test_file_limit_leaves_the_last_checkpoint_sound(options, start, finish, state_of, tmp_path):
    """A quota: checkpoints grow past it once the optimiser has a state of its own."""
    options = [*options, "run.keep_last=3", "run.checkpoint_minutes=0"]
    finish([*options, f"run.exp={tmp_path}/plain"])
    size = checkpoints(tmp_path / "plain/checkpoints")[-1].stat().st_size
    run = start(options, FSIZE=size - 1000)
    assert run.wait() == 1
    assert "the checkpoint could not be written (File too large)" in run.said()
    assert not list((tmp_path / "exp/checkpoints").glob("*"))
    assert_same_end(options, finish, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can be mounted by root alone")
def test_full_disk_leaves_the_last_checkpoint_sound(options, start, finish, tmp_path):
    options = [*options, "run.keep_last=20", "run.checkpoint_minutes=0"]
    finish([*options, f"run.exp={tmp_path}/plain"])
    size = checkpoints(tmp_path / "plain/checkpoints")[-1].stat().st_size
    (tmp_path / "exp").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={4 * size}", "none", tmp_path / "exp"], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        run = start(options)
        assert run.wait() == 1
        assert "No space left on device" in run.said()
        newest = checkpoints(tmp_path / "exp/checkpoints")[-1]
        assert 0 < read_checkpoint(newest)["step"] < 15
        assert not list((tmp_path / "exp/checkpoints").glob(".*"))
        subprocess.run(["mount", "-o", f"remount,size={100 * size}", tmp_path / "exp"], check=True)
        assert_same_end(options, finish, tmp_path)
    finally:
        subprocess.run(["umount", tmp_path / "exp"], check=True)


def test_a_run_whose_figures_cannot_be_drawn_is_finished(options, start, tmp_path):
    exp, images = tmp_path / "exp", tmp_path / "exp/images"
    exp.mkdir()
    images.write_text("in the way of the folder")
    run = start(options)
    assert run.wait() == 0
    log = (exp / "train.log").read_text()
    assert "WARNING: the figures could not be drawn (FileExistsError: " in log
    assert f"remove {exp}/done and run the same command again" in log
    images.unlink()
    (exp / "done").unlink()  # it was there
    assert start(options).wait() == 0
    assert len(list(images.iterdir())) == 3


def test_out_of_memory_names_what_to_lower(own_options, start, tmp_path):
    """A real refusal by the allocator: the widest model, whose first product alone takes 50 GB."""
    run = start([*own_options, "model.width=65536", "model.heads=1024"])
    assert run.wait() == 1
    assert "error: out of memory with optim.batch_size=4 and optim.micro_batch=0" in run.said()
    assert "lower optim.micro_batch" in run.said()


def test_too_few_open_files_name_the_limit(own_options, start):
    run = start([*own_options, "data.workers=2"], NOFILE=24)
    assert run.wait() == 1
    assert "error: Too many open files: use fewer data.workers, or raise the limit (ulimit -n)" in run.said()
    assert "unexpected" not in run.said()


def assert_same_end(options, finish, tmp_path):
    """Gone on with, the run ends as the one that met no trouble."""
    expected = read_checkpoint(checkpoints(tmp_path / "plain/checkpoints")[-1])
    actual = finish(options)
    assert actual["step"] == expected["step"]
    assert all(actual["model"][name].equal(value) for name, value in expected["model"].items())
    assert_same_metrics(tmp_path)


def assert_same_metrics(tmp_path):
    assert (tmp_path / "exp/metrics.jsonl").read_text() == (tmp_path / "plain/metrics.jsonl").read_text()


def wait_for_metrics(exp, run):
    path = exp / "metrics.jsonl"
    end = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < end, run.said()
        time.sleep(0.001)
