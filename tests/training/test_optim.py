"""Schedules and parameter groups against the golden vectors (e_step: the published code's loop)."""

import pytest

from m2d.nn import ModelConfig, build_objective
from m2d.pretrained.published import to_published
from m2d.training.config import OptimOptions
from m2d.training.optim import Schedule, build_optimizer


@pytest.mark.parametrize(("name", "batch", "steps_per_epoch"), [("m2d", 2048, 1000), ("m2ds", 2048, 1000)])
def test_learning_rate(golden, name, batch, steps_per_epoch):
    _, meta = golden("e_step")
    expected = meta["lr_schedule"][name]
    optim = OptimOptions(batch_size=batch, **{"m2d": {"epochs": 300, "warmup_epochs": 20},
                                              "m2ds": {"epochs": 1000, "warmup_epochs": 60}}[name])
    schedule = Schedule(optim, steps_per_epoch)
    assert schedule.peak_lr == pytest.approx(expected["lr"])
    for epoch, lr in zip(expected["at"], expected["values"], strict=True):
        assert schedule.lr(epoch * steps_per_epoch) == pytest.approx(lr, rel=1e-9, abs=1e-15)


def test_ema_rate(golden):
    _, meta = golden("e_step")
    expected = meta["ema_schedule"]
    schedule = Schedule(OptimOptions(epochs=10, warmup_epochs=1), expected["total_steps"] // 10)
    for step, rate in zip(expected["steps"], expected["values"], strict=True):
        assert schedule.ema_rate(step) == pytest.approx(rate, rel=0, abs=1e-12)


def test_parameter_groups(golden):
    """What is decayed and what is not, by the published names; the target is in neither."""
    _, meta = golden("e_step")
    size = {name: meta["config"][key] for name, key in [
        ("width", "embed_dim"), ("depth", "depth"), ("heads", "num_heads"), ("predictor_width", "decoder_embed_dim"),
        ("predictor_depth", "decoder_depth"), ("predictor_heads", "decoder_num_heads")]}
    objective = build_objective(ModelConfig(input_size=[80, 208], size="custom", **size))
    names = {parameter: to_published(name) for name, parameter in objective.named_parameters()}
    groups = build_optimizer(objective, OptimOptions()).param_groups
    for expected, group in zip(meta["param_groups"], groups, strict=True):
        assert group["weight_decay"] == expected["weight_decay"]
        assert sorted(names[parameter] for parameter in group["params"]) == sorted(expected["params"])
    assert groups[0]["betas"] == (0.9, 0.95)
    assert groups[0]["eps"] == 1e-8
