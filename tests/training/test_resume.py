"""What stops a run: nothing is lost, and the final weights are those of a run that was never stopped."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from m2d.common.errors import OtherRunError
from m2d.training.checkpoint import checkpoints

KILLS = 20


@pytest.fixture
def long_options(options):
    """40 epochs of 5 steps of two parts, a checkpoint after every step."""
    return [*options, "optim.epochs=40", "optim.micro_batch=2", "run.checkpoint_minutes=0", "run.log_steps=3",
            "run.valid_epochs=20"]


def in_exp(options, path):
    return [*options, f"run.exp={path}"]


def assert_same_run(one, other, exps):
    """Bit for bit: weights, target, optimiser, random states; and the metrics, line by line."""
    for part in ("model", "optimizer", "rng", "statistics", "step", "epoch", "data", "monitor"):
        torch.testing.assert_close(one[part], other[part], rtol=0, atol=0)
    first, second = (Path(exp, "metrics.jsonl").read_text() for exp in exps)
    assert first == second


def wait_until(condition, run, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, run.said()
        time.sleep(0.001)


def test_kill_9_at_random_moments(long_options, start, finish, tmp_path):
    plain, killed = in_exp(long_options, tmp_path / "plain"), in_exp(long_options, tmp_path / "killed")
    expected = finish(plain)
    moments, in_writing = random.Random(0), 0
    log = tmp_path / "killed/train.log"
    for kill in range(KILLS):
        before = log.stat().st_size if log.exists() else 0
        run = start([*killed, f"data.workers={kill % 2}"])
        if kill % 4:  # else at any moment of the start
            wait_until(lambda: log.exists() and b"stood still" in log.read_bytes()[before:], run)  # noqa: B023
        time.sleep(moments.uniform(0, 0.1))
        os.kill(run.pid, signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL, run.said()
        in_writing += any((tmp_path / "killed/checkpoints").glob(".*.tmp"))
    assert in_writing > 0  # some kills came while a checkpoint was being written
    assert_same_run(expected, finish(killed), [tmp_path / "plain", tmp_path / "killed"])


def test_tensorboard_neither_loses_nor_repeats_a_step(long_options, start, finish, tmp_path):
    options = [*long_options, "optim.epochs=12", "run.keep_last=4"]
    run = start(options)
    wait_until(lambda: len(checkpoints(tmp_path / "exp/checkpoints")) == 4, run)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    for path in checkpoints(tmp_path / "exp/checkpoints")[1:]:  # its steps are done again
        path.unlink()
    second = int(time.time())
    wait_until(lambda: int(time.time()) > second, run)  # the files are read in the order of the seconds in their names
    finish(options)
    events = EventAccumulator(str(tmp_path / "exp/tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    points = {event.step: event.value for event in events.Scalars("loss")}
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 61))
    lines = (json.loads(line) for line in (tmp_path / "exp/metrics.jsonl").read_text().splitlines())
    assert points == pytest.approx({line["step"]: line["loss"] for line in lines if "loss" in line}, rel=1e-6)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_signal_to_all_processes(number, options, start, finish, state_of, tmp_path):
    """As Slurm and a terminal send it: to the loader workers too."""
    options = [*options, "optim.epochs=40", "data.workers=2", "run.log_steps=2"]
    stopped = in_exp(options, tmp_path / "stopped")
    run = start(stopped)
    wait_until(lambda: Path(tmp_path, "stopped/metrics.jsonl").exists()
               and Path(tmp_path, "stopped/metrics.jsonl").stat().st_size, run)
    os.killpg(run.pid, number)
    assert run.wait() == os.EX_TEMPFAIL, run.said()
    assert "the same command goes on" in run.said()
    assert 0 < state_of(stopped)["step"] < 200
    expected = finish(in_exp(options, tmp_path / "plain"))
    assert_same_run(expected, finish(stopped), [tmp_path / "plain", tmp_path / "stopped"])


def test_finished_run_is_drawn_says_so_and_ends(options, start, finish, tmp_path):
    finish(options)
    images = (tmp_path / "exp/images").iterdir()
    assert sorted(path.name for path in images) == ["deviation.png", "losses.png", "masked_input.png"]
    before = (tmp_path / "exp/metrics.jsonl").stat().st_mtime_ns
    run = start(options)
    assert run.wait() == 0
    assert "finished; nothing to do" in run.said()
    assert (tmp_path / "exp/metrics.jsonl").stat().st_mtime_ns == before


def test_second_run_in_one_directory_is_refused(long_options, start, finish, tmp_path):
    first = start([*long_options, "optim.epochs=2000"])
    wait_until(lambda: (tmp_path / "exp/metrics.jsonl").exists(), first)
    second = start([*long_options, "optim.epochs=2000"])
    assert second.wait() == 1
    assert f"error: {tmp_path}/exp: another run is going on in this directory (process {first.pid} on" in second.said()
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait() == os.EX_TEMPFAIL


def test_changed_options_are_refused_with_what_changed(options, start, finish, state_of, tmp_path):
    finish([*options, "optim.epochs=2"])
    (tmp_path / "exp/done").unlink()
    changed = [*options, "optim.base_lr=0.2", "data.workers=1", "run.valid_epochs=2"]
    run = start(changed)
    assert run.wait() == OtherRunError.status
    assert "(optim.base_lr: 0.1 -> 0.2; optim.epochs: 2 -> 3)" in run.said()
    run = start([*changed, "run.allow_config_change=true", "optim.batch_size=2"])
    assert run.wait() == 1
    assert "global_batch was 4 and is 2" in run.said()
    finish([*changed, "run.allow_config_change=true"])
    state = state_of(options)
    assert state["step"] == 15
    assert state["config"]["optim"]["base_lr"] == 0.2


def test_truncated_newest_checkpoint_is_named_and_the_one_before_used(long_options, start, finish, tmp_path):
    options = [*long_options, "optim.epochs=4", "run.keep_last=3"]
    expected = finish(in_exp(options, tmp_path / "plain"))
    broken = in_exp(options, tmp_path / "broken")
    finish(broken)
    (tmp_path / "broken/done").unlink()
    newest = tmp_path / "broken/checkpoints/step_000000020.pt"
    newest.write_bytes(newest.read_bytes()[:-1000])
    (tmp_path / "broken/checkpoints/step_000000019.pt.sha256").unlink()
    actual = finish(broken)
    log = (tmp_path / "broken/train.log").read_text()
    assert f"{newest}: broken checkpoint, the content does not fit its checksum" in log
    assert "step_000000019.pt: broken checkpoint, its checksum step_000000019.pt.sha256 is missing" in log
    assert "resumed after step 18" in log
    assert_same_run(expected, actual, [tmp_path / "plain", tmp_path / "broken"])


def test_no_sound_checkpoint_is_an_error(options, start, finish, tmp_path):
    finish(options)
    (tmp_path / "exp/done").unlink()
    (tmp_path / "exp/checkpoints/step_000000015.pt").write_bytes(b"")
    run = start(options)
    assert run.wait() == 1
    assert f"error: {tmp_path}/exp/checkpoints: none of the 1 checkpoints can be read" in run.said()
