"""Counts of the published settings against the papers' and the measured figures, without allocating a model."""

import pytest
import torch

from m2d.nn import ModelConfig, build_objective
from m2d.nn.summary import activation_bytes, summarise


@pytest.mark.parametrize(("options", "patches", "visible", "forward", "step"), [
    ({}, 190, 57, 43.9, 84.7),
    ({"input_size": [80, 208], "patch_size": [80, 4], "mask_ratio": 0.6, "lambda_off": 0.5}, 52, 20, 12.1, 25.0),
    ({"input_size": [80, 400], "patch_size": [80, 2], "mask_ratio": 0.6, "lambda_off": 0.5}, 200, 80, 46.4, 96.9),
    ({"input_size": [80, 608], "patch_size": [80, 2], "mask_ratio": 0.6, "lambda_off": 0.5}, 304, 121, 71.5, 149.2),
])
def test_flops_of_a_step(options, patches, visible, forward, step):
    """Half a percent below a plain implementation, which embeds all patches twice and reads all predictions."""
    summary = summarise(ModelConfig(teacher_width=768, **options))
    assert (summary.patches, summary.visible) == (patches, visible)
    assert 0.993 * forward < summary.forward_flops / 1e9 < 1.002 * forward
    assert 0.993 * step < summary.step_flops / 1e9 < 1.002 * step


def test_parameters_of_vit_base():
    summary = summarise(ModelConfig())
    assert round(summary.trainable / 1e6, 1) == 111.3
    assert round(summary.parameters / 1e6, 1) == 196.6
    assert round(summary.encoder_parameters / 1e6, 1) == 85.3
    assert summary.weight_bytes() == 4 * summary.parameters + 12 * summary.trainable


@pytest.mark.parametrize(("size", "millions"), [("small", 21.4), ("base", 85.3), ("large", 302.6)])
def test_encoder_sizes_by_name(size, millions):
    assert summarise(ModelConfig(size=size)).encoder_parameters / 1e6 == pytest.approx(millions, abs=0.1)


def test_branches_of_weight_zero_cost_nothing():
    options = {"input_size": [80, 208], "patch_size": [80, 4], "mask_ratio": 0.6}
    m2d, both = summarise(ModelConfig(**options)), summarise(ModelConfig(lambda_off=1.0, teacher_width=768, **options))
    alone = summarise(ModelConfig(lambda_m2d=0.0, lambda_off=1.0, teacher_width=768, **options))
    assert alone.trainable == both.trainable
    assert both.parameters - alone.parameters == 85_056_000  # the target: 12 blocks and a LayerNorm
    assert alone.forward_flops < 0.55 * both.forward_flops
    assert both.forward_flops - m2d.forward_flops == 2 * 52 * 768 * 768


def test_activation_estimate_is_what_autograd_saves():
    """Bytes kept for the backward pass, attention matrices apart, within a fifth of the estimate."""
    config = ModelConfig(size="small", input_size=[80, 208], patch_size=[40, 4])
    objective = build_objective(config)
    own = {p.untyped_storage()._cdata for p in objective.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in own and tensor.is_floating_point():
            kept[storage._cdata] = storage.nbytes()
        return tensor
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = objective(torch.randn(1, 1, 80, 208))
    assert output.loss.requires_grad
    assert activation_bytes(config, bf16=False) == pytest.approx(sum(kept.values()), rel=0.2)
    checkpointed = ModelConfig(size="small", input_size=[80, 208], patch_size=[40, 4], activation_checkpointing=True)
    assert activation_bytes(checkpointed, bf16=False) < 0.25 * activation_bytes(config, bf16=False)
    assert activation_bytes(config, bf16=True) < 0.6 * activation_bytes(config, bf16=False)
