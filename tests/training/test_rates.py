"""Rates of a machine, and the hours that follow from them."""

import dataclasses
import json

import pytest

from m2d.common.errors import UserError
from m2d.common.progress import duration
from m2d.nn.config import ModelConfig
from m2d.nn.summary import encode_flops, summarise
from m2d.training import rates
from m2d.training.rates import SUPERB_HOURS, Rates, machine_rates, stage_hours

MODEL = ModelConfig(input_size=(80, 48), patch_size=(80, 4), size="custom", width=32, depth=1, heads=2,
                    predictor_width=16, predictor_depth=1, predictor_heads=2, lambda_off=0.5, teacher_width=6)
RATES = Rates("gpu", 0.5, disk=1000.0, headers=2000.0, decode=1000.0, logmel=4000.0, teacher=100.0, tflops=2.0)
WORK = {"epochs": 10, "samples": 1000, "hours": 3.0, "noise_hours": 5.0, "jobs": 4, "gpus": 2}


def test_rates_are_taken_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(rates, "EACH_S", 0.02)
    monkeypatch.setattr(rates, "DISK_BYTES", 2 << 20)
    monkeypatch.setattr(rates, "_teacher", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    found = machine_rates("rates.json", MODEL)
    assert min(found.disk, found.headers, found.decode, found.logmel, found.tflops) > 0 and found.teacher is None
    monkeypatch.setattr(rates, "take", lambda *_: pytest.fail("measured again"))
    assert machine_rates("rates.json", MODEL) == found and [path.name for path in tmp_path.iterdir()] == ["rates.json"]
    (tmp_path / "rates.json").write_text(json.dumps({"device": "x"}))
    with pytest.raises(UserError, match=r"rates\.json: not a file of measured rates"):
        machine_rates("rates.json", MODEL)


def test_hours_are_work_over_rates():
    rows = dict(stage_hours(MODEL, summarise(MODEL), RATES, **WORK))
    assert rows["time: headers of all files"] == duration((1000 + 5 * 360) / 2000)
    assert rows["time: log-mels, 4 jobs"] == f"{duration(8 * 3600 * (1 / 1000 + 1 / 4000) / 4)} (cores)"
    assert rows["time: frames of HuBERT Base"] == duration(3 * 3600 / 100 / 2)
    assert rows["time: pre-training"] == duration(10 * 1000 * summarise(MODEL).step_flops / 4e12)
    inputs = sum(SUPERB_HOURS.values()) * 3600 / 0.48
    assert rows["time: features of SUPERB, once"] == duration(inputs * encode_flops(MODEL) / 4e12)
    slow = dataclasses.replace(RATES, disk=1.0)
    assert "(disk)" in dict(stage_hours(MODEL, summarise(MODEL), slow, **WORK))["time: log-mels, 4 jobs"]


def test_the_work_of_an_input_is_that_of_its_blocks():
    """Linear layers: 12 D^2 multiplications a token and block; attention: 2 N D; the patches: P D; two FLOPs each."""
    tokens, width = 1 + 12, 32
    block = 12 * width**2 + 2 * tokens * width
    assert encode_flops(MODEL) == 2 * (tokens * block + 12 * 320 * width)
