"""What is seen of a run."""

import json
import logging

import pytest
import torch

from m2d.common.errors import UserError
from m2d.training.config import OptimOptions
from m2d.training.distributed import open_ranks
from m2d.training.figures import curves
from m2d.training.monitor import Monitor, read_metrics
from m2d.training.optim import Schedule

SCHEDULE = Schedule(OptimOptions(batch_size=4, epochs=4, warmup_epochs=1), 5)


@pytest.fixture
def ranks():
    with open_ranks("cpu") as alone:
        yield alone


def note(monitor, count, **values):
    for _ in range(count):
        scalars = {"loss": 1.0, "target_std": 1.0, "grad_norm": 0.5, "skipped": 0.0} | values
        monitor.step({name: torch.tensor(value) for name, value in scalars.items()}, ["utt1", "utt2"], 0.0)
    monitor.flush()


def test_resuming_neither_loses_nor_repeats_a_line(tmp_path, ranks):
    monitor = Monitor(tmp_path, SCHEDULE, ranks, 5)
    note(monitor, 7)
    monitor.measure("valid", lambda: {"loss": 2.0})
    note(monitor, 3)
    monitor.close()
    with open(tmp_path / "metrics.jsonl", "a") as stream:
        stream.write('{"step": 11, "lo')  # killed in the middle of a line
    monitor = Monitor(tmp_path, SCHEDULE, ranks, 5, start=7)
    note(monitor, 2)
    monitor.close()
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [(line["step"], "valid_loss" in line) for line in lines] == \
        [(1, False), (2, False), (3, False), (4, False), (5, False), (6, False), (7, False), (7, True), (8, False),
         (9, False)]
    assert lines[-1]["lr"] == SCHEDULE.lr(8)
    assert lines[-1]["ema_rate"] == SCHEDULE.ema_rate(8)
    assert lines[-1]["epoch"] == 1.8


def test_a_collapsed_target_is_warned_of_once(tmp_path, ranks, caplog):
    monitor = Monitor(tmp_path, SCHEDULE, ranks, 5)
    with caplog.at_level(logging.WARNING):
        note(monitor, 2)
        assert not caplog.records
        note(monitor, 2, target_std=0.01)
        note(monitor, 2, target_std=0.01)
    monitor.close()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["the target has collapsed"]


def test_progress_line(tmp_path, ranks, caplog):
    monitor = Monitor(tmp_path, SCHEDULE, ranks, 5)
    with caplog.at_level(logging.INFO):
        note(monitor, 5, m2d=1.5)
    monitor.close()
    line = caplog.records[-1].getMessage()
    for part in ("epoch 1.00/4", "step 5/20", "loss 1.0000", "m2d 1.5000", "lr ", "ema 0.99995", "samples/s",
                 "data wait 0%", "ETA "):
        assert part in line


def test_skipped_steps_in_a_row_count_over_a_resume(tmp_path, ranks):
    monitor = Monitor(tmp_path, SCHEDULE, ranks, 3)
    note(monitor, 2, loss=float("nan"), skipped=1.0)
    assert monitor.state() == {"skipped": 2, "skipped_in_a_row": 2}
    monitor.close()
    resumed = Monitor(tmp_path, SCHEDULE, ranks, 3, start=2, state=monitor.state())
    with pytest.raises(UserError, match="3 steps in a row were not finite"):
        note(resumed, 1, loss=float("inf"), skipped=1.0)
    resumed.close()
    assert [json.loads(line)["utterances"] for line in (tmp_path / "skipped.jsonl").read_text().splitlines()] == \
        [["utt1", "utt2"]] * 3


def test_good_steps_between_bad_ones_go_on(tmp_path, ranks):
    monitor = Monitor(tmp_path, SCHEDULE, ranks, 2)
    for _ in range(3):
        note(monitor, 1, skipped=1.0)
        note(monitor, 1)
    monitor.close()
    assert monitor.state() == {"skipped": 3, "skipped_in_a_row": 0}


def test_curves_draw_what_is_there():
    lines = [{"epoch": 0.5, "loss": 2.0, "m2d": None}, {"epoch": 1.0, "loss": 1.0, "m2d": 0.5},
             {"epoch": 1.0, "valid_loss": 1.5}]
    axes = curves(lines, ["loss", "m2d", "off", "valid_loss"], "loss").axes[0]
    assert {line.get_label(): list(line.get_ydata()) for line in axes.lines} == \
        {"loss": [2.0, 1.0], "m2d": [0.5], "valid_loss": [1.5]}
