"""Pre-training on several corpora: exact resume, statistics, what is refused."""

import json
import os
import signal
import time

import pytest
import torch

from m2d.common.config import load_config
from m2d.common.errors import UserError
from m2d.training.config import PretrainConfig
from m2d.training.data_modules.audio import AudioData
from m2d.training.plan import load_settings, setting_lines


@pytest.fixture
def mixed(options, stores):
    """Speech 3 : held-out speech 1, with its teacher."""
    return [*options, f"data.more=[{stores}/valid]", f"data.more_teachers=[{stores}/valid_teacher]",
            "data.weights=[3,1]"]


def open_data(words):
    return AudioData(load_config(PretrainConfig, None, words), torch.device("cpu"))


def test_a_killed_run_goes_on_to_the_same_weights(mixed, start, finish, tmp_path):
    words = [*mixed, "optim.epochs=20", "run.checkpoint_minutes=0", "run.log_steps=3", "run.valid_epochs=10"]
    expected = finish([*words, f"run.exp={tmp_path}/plain"])
    killed = [*words, f"run.exp={tmp_path}/killed"]
    run = start([*killed, "data.workers=1"])
    end = time.monotonic() + 60
    while not (tmp_path / "killed/metrics.jsonl").exists() and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    found = finish(killed)
    for part in ("model", "optimizer", "rng", "statistics", "step", "data"):
        torch.testing.assert_close(expected[part], found[part], rtol=0, atol=0)


def test_shares_by_weight_by_hours_and_by_utterances(mixed, stores):
    plain = [word for word in mixed if not word.startswith("data.weights")]
    frames = [json.loads((stores / name / "meta.json").read_text())["frames"] for name in ("speech", "valid")]
    hours = round(25 * frames[0] / sum(frames))
    for words, counts in ((mixed, [19, 6]), (plain, [20, 5]), ([*plain, "data.by_hours=true"], [hours, 25 - hours])):
        assert open_data(words).train.counts == counts and open_data(words).train_size == 25


def test_statistics_are_those_of_the_mixture(mixed, stores):
    (m, s), (n, t) = ((stats["mean"], stats["std"]) for stats in (
        json.loads((stores / name / "stats.json").read_text()) for name in ("speech", "valid")))
    data = open_data(mixed)
    mean = (19 * m + 6 * n) / 25
    std = ((19 * (s**2 + m**2) + 6 * (t**2 + n**2)) / 25 - mean**2) ** 0.5
    assert data.statistics == pytest.approx({"mean": mean, "std": std})
    assert open_data([*mixed, "data.mean=-7"]).statistics["mean"] == -7
    assert {"speech", "speech 2", "teacher", "teacher 2", "noise"} <= data.identity().keys()


@pytest.mark.parametrize("change, words", [
    ("data.weights=[3]", "a share for data.speech and for each of the 1"),
    ("data.weights=[3,0]", r"0\.0 is not in \(0, inf\)|data\.weights="), ("data.by_hours=true", "not data.by_hours"),
    ("data.more_teachers=[]", "each of the 1 stores of data.more has its store of teacher frames"),
    ("data.more=[]", "data.weights=.*each of the 0")])
def test_what_does_not_fit_together(mixed, change, words):
    with pytest.raises(UserError, match=words):
        load_config(PretrainConfig, None, [*mixed, change])


def test_the_content_of_further_stores_is_part_of_the_settings(stores, tmp_path):
    (tmp_path / "x.yaml").write_text("model: {lambda_off: 0.0}\n")
    there = load_settings(str(tmp_path / "x.yaml"), [f"data.more=[{stores}/valid]"])
    content = json.loads((stores / "valid/meta.json").read_text())["content"]
    assert f"content of further store 1={content}" in setting_lines(there)
    gone = load_settings(str(tmp_path / "x.yaml"), ["data.more=[/nowhere]"])
    assert "content of further store 1=absent" in setting_lines(gone)
