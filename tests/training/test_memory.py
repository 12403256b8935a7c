"""The micro-batch that fits the memory there is, on devices that are only described."""

import pytest
import torch

from m2d.common.config import load_config
from m2d.data.loader import default_workers
from m2d.training import distributed, trainer
from m2d.training.config import PretrainConfig
from m2d.training.data_modules import open_data
from m2d.training.distributed import default_dtype, open_ranks
from m2d.training.memory import host_bytes, micro_batch


class Card:
    """A device of `size` bytes whose passes take `fixed` bytes and `each` for a sample; above `bend` samples, more."""

    def __init__(self, size, fixed=1000, each=100, bend=10**9):
        self.size, self.fixed, self.each, self.bend, self.asked = size, fixed, each, bend, []

    def need(self, samples):
        self.asked.append(samples)
        peak = self.fixed + self.each * samples + 50 * max(0, samples - self.bend)
        if peak > self.size:
            raise torch.OutOfMemoryError
        return peak


@pytest.mark.parametrize(("share", "size", "expected"), [
    (2048, 10**6, 2048), (2048, 60_000, 512), (2048, 1150, 1), (2048, 1350, 2), (48, 3000, 16), (61, 10**6, 61),
    (61, 3000, 1), (1, 5000, 1), (6, 900, 1)])
def test_the_largest_part_that_fits(share, size, expected):
    card = Card(size)
    assert micro_batch(share, card.need, 0.9 * size) == expected
    assert len(card.asked) <= 10  # a handful of passes, small ones but for the last


def test_what_was_extrapolated_is_tried():
    """The need bends upwards: the first choice does not fit after all."""
    card = Card(60_000, bend=64)
    assert micro_batch(2048, card.need, 54_000) == 256


def test_host_memory_is_bounded_by_the_control_groups(tmp_path):
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    for folder in (proc / "self", cgroups / "jobs/7"):
        folder.mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:    5000 kB\n")
    (proc / "self/cgroup").write_text("4:memory:/old\n0::/jobs/7\n")
    assert host_bytes(proc, cgroups) == 5000 * 1024
    for place, limit in ((cgroups / "jobs/7", "max"), (cgroups / "jobs", "3000000")):
        (place / "memory.max").write_text(f"{limit}\n")
        (place / "memory.current").write_text("1000000\n")
        (place / "memory.stat").write_text("anon 400000\ninactive_file 600000\n")
    assert host_bytes(proc, cgroups) == 2_600_000
    assert host_bytes() > 0


def test_a_run_cuts_its_batch_by_the_memory(options, monkeypatch):
    """The same losses to rounding, whatever the memory."""
    def first_losses(samples):
        monkeypatch.setattr(trainer, "available_bytes", lambda _: samples * each)
        with open_ranks("cpu") as ranks:
            config = load_config(PretrainConfig, None, options)
            monkeypatch.setattr(trainer.Trainer, "_bytes_to_come", lambda _: 0)
            run = trainer.Trainer(config, ranks, open_data(config, ranks.device))
        batches = run.data.training_batches(run.sampler)
        return run.sampler.accumulate, [float(run.train_step(step, batches).values["loss"]) for step in range(6)]

    each = trainer.activation_bytes(load_config(PretrainConfig, None, options).model, False)
    whole, losses = first_losses(4)
    cut, others = first_losses(3)
    assert (whole, cut) == (1, 2)
    assert others == pytest.approx(losses, rel=1e-4)


@pytest.mark.parametrize(("cpus", "ranks", "workers"), [
    (2, 1, 1), (1, 1, 1), (8, 1, 4), (64, 8, 4), (16, 8, 1), (24, 8, 2)])
def test_workers_by_the_cpus_of_a_rank(monkeypatch, cpus, ranks, workers):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cpus)))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    assert default_workers() == workers


def test_dtype_by_the_device(monkeypatch):
    assert default_dtype(torch.device("cpu")) == "fp32"
    for has_bf16, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(distributed.torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)  # noqa: B023
        assert default_dtype(torch.device("cuda")) == expected


def test_a_resumed_run_keeps_its_precision(options, start, finish, state_of, tmp_path):
    """`auto` goes on as the run began; asked for another, it is refused by name."""
    state = finish([*options, "run.dtype=bf16", "optim.epochs=2", "run.keep_epochs=1", "run.keep_last=1"])
    assert state["config"]["run"]["dtype"] == "bf16"
    (tmp_path / "exp/done").unlink()
    run = start([*options, "run.dtype=fp32", "optim.epochs=2"])
    assert run.wait() == 65
    assert "(run.dtype: bf16 -> fp32)" in run.said()
    (tmp_path / "exp/checkpoints/step_000000010.pt").unlink()
    again = finish([*options, "optim.epochs=2"])
    assert again["config"]["run"]["dtype"] == "bf16"
    torch.testing.assert_close(again["model"], state["model"], rtol=0, atol=0)
    assert "dtype: bf16" in (tmp_path / "exp/config.yaml").read_text()
