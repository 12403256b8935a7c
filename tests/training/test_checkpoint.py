"""Checkpoints alone: whole or absent, sound or named."""

import pytest
import torch

from m2d.common.errors import UserError
from m2d.training.checkpoint import CheckpointWriter, checkpoints, read_checkpoint, read_newest


def state(step):
    return {"model": {"weight": torch.full((1000,), float(step))}, "config": {"a": [1, None]}, "step": step,
            "statistics": {"mean": -7.1, "std": 4.2}}


def steps(directory):
    return [read_checkpoint(path)["step"] for path in checkpoints(directory)]


def write(directory, count, **keep):
    writer = CheckpointWriter(directory, **keep)
    for step in range(1, count + 1):
        writer.save(state(step))
    writer.wait()
    return writer


def test_the_last_ones_and_multiples_are_kept(tmp_path):
    write(tmp_path, 9, keep_last=2, keep_steps=3)
    assert steps(tmp_path) == [3, 6, 8, 9]
    assert len(list(tmp_path.iterdir())) == 8  # each with its checksum, nothing else
    write(tmp_path / "few", 5, keep_last=1, keep_steps=0)
    assert steps(tmp_path / "few") == [5]


def test_what_is_saved_is_the_state_at_the_call(tmp_path):
    writer = CheckpointWriter(tmp_path, 1, 0)
    changing = state(1)
    writer.save(changing)
    changing["model"]["weight"].zero_()
    writer.wait()
    assert read_newest(tmp_path)[1]["model"]["weight"].eq(1).all()


def test_every_flipped_or_missing_byte_is_noticed(tmp_path):
    write(tmp_path, 1, keep_last=1, keep_steps=0)
    path = checkpoints(tmp_path)[0]
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[:100], b"", whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:]):
        path.write_bytes(broken)
        with pytest.raises(UserError, match="does not fit its checksum"):
            read_checkpoint(path)


def test_a_file_that_is_no_checkpoint_of_ours(tmp_path):
    with pytest.raises(UserError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "step_000000001.pt")
    write(tmp_path, 1, keep_last=1, keep_steps=0)
    writer = CheckpointWriter(tmp_path, 2, 0)
    writer.save({"step": 2, "something": "else"})
    writer.wait()
    with pytest.raises(UserError, match="not a checkpoint of"):
        read_checkpoint(checkpoints(tmp_path)[-1])
    assert read_newest(tmp_path)[1]["step"] == 1


@pytest.mark.parametrize("error", [ValueError("odd"), KeyError("x"), MemoryError(), AssertionError()])
def test_whatever_fails_in_the_writing_thread_is_reported(tmp_path, monkeypatch, error):
    """No exception is lost: training would go on without checkpoints."""
    write(tmp_path, 1, keep_last=2, keep_steps=0)
    writer = CheckpointWriter(tmp_path, 2, 0)

    def fail(*_):
        raise error

    monkeypatch.setattr(torch, "save", fail)
    writer.save(state(2))
    with pytest.raises(UserError, match=rf"could not be written \({type(error).__name__}.*is step_000000001.pt"):
        writer.wait()
    assert steps(tmp_path) == [1]
    assert not list(tmp_path.glob(".*"))


def test_nothing_there_is_no_error(tmp_path):
    assert read_newest(tmp_path / "nowhere") is None


def test_leftovers_of_a_killed_writer_are_removed(tmp_path):
    write(tmp_path, 1, keep_last=1, keep_steps=0)
    (tmp_path / ".step_000000002.pt.123.tmp").write_bytes(b"half")
    CheckpointWriter(tmp_path, 1, 0)
    assert not list(tmp_path.glob(".*"))
    assert steps(tmp_path) == [1]
