"""The networks and losses against vectors of the published implementation (1e-5, float32)."""

import json
from pathlib import Path

import pytest
import torch

from m2d.nn import ModelConfig, build_objective
from m2d.nn.patches import Grid, random_split, sincos_positions
from m2d.pretrained.layouts import from_published, to_published

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
TINY = {"size": "custom", "width": 64, "depth": 2, "heads": 4,
        "predictor_width": 32, "predictor_depth": 2, "predictor_heads": 4}


def close(ours, theirs, tolerance=1e-5):
    """Equal within 1e-5 relative to the largest value."""
    scale = max(1.0, float(theirs.abs().max()))
    torch.testing.assert_close(ours.detach().float(), theirs.float(), rtol=0, atol=tolerance * scale)


def load_weights(objective, arrays):
    own = objective.state_dict()
    state = {from_published(name[3:]): value for name, value in arrays.items() if name.startswith("sd.")}
    objective.load_state_dict({name: state[name] for name in own})


def shuffled(tokens, mask):
    """Golden tokens [B, 1 + L, D] in patch order, brought to ours: class token, visible, masked."""
    patches = tokens[:, 1:].gather(1, mask.shuffle[..., None].expand(-1, -1, tokens.shape[2]))
    return torch.cat([tokens[:, :1], patches], dim=1)


@pytest.mark.parametrize("width", [64, 768])
@pytest.mark.parametrize("grid", [(5, 38), (1, 100), (1, 52), (13, 13)])
def test_positions(golden, grid, width):
    arrays, _ = golden("b_pos_embed")
    table = arrays[f"pos_{grid[0]}x{grid[1]}_d{width}_cls"]
    assert not table[0].any()  # the class token's position, which our table has no row for
    close(sincos_positions(Grid(*grid), width), table[1:], 1e-6)


@pytest.fixture(scope="module")
def m2d(golden):
    arrays, meta = golden("c_m2d_tiny_80x608_p16x16")
    objective = build_objective(ModelConfig(**TINY))
    load_weights(objective, arrays)
    return objective, arrays, meta


def test_mask_order(m2d):
    objective, arrays, _ = m2d
    pixels = objective.encoder.patches(arrays["x"])
    mask = random_split(pixels, 57, arrays["noise"])
    assert torch.equal(mask.shuffle, arrays["ids_shuffle"].long())
    assert torch.equal(mask.restore, arrays["ids_restore"].long())
    assert torch.equal(mask.visible, arrays["ids_keep"].long())
    masked = torch.zeros_like(arrays["mask"]).scatter_(1, mask.masked, 1.0)
    assert torch.equal(masked, arrays["mask"])


def test_m2d_stages(m2d):
    objective, arrays, _ = m2d
    encoder, predictor = objective.encoder, objective.predictor
    pixels = encoder.patches(arrays["x"])
    mask = random_split(pixels, 57, arrays["noise"])
    close(encoder.patch_embed(pixels), arrays["patch_embed"])
    layers = encoder.transformer.layers(encoder.embed(pixels, mask.visible))
    close(layers[0], arrays["online_block0"])
    latent = encoder(pixels, mask.visible)
    close(latent, arrays["latent"])
    close(predictor.tokens(latent, mask), shuffled(arrays["predictor_in"], mask))
    close(predictor(latent, mask), arrays["pred"])
    masked = encoder.embed(pixels, mask.masked)
    close(masked[:, 1:], arrays["x_targ"])
    close(objective.target(masked)[:, 1:], arrays["target"])
    close(objective.targets(objective.predict(arrays["x"], arrays["noise"])), arrays["target_std"])


def test_m2d_loss_and_gradients(m2d):
    objective, arrays, meta = m2d
    objective.zero_grad()
    output = objective(arrays["x"], mask_noise=arrays["noise"])
    assert abs(output.loss.item() - meta["loss_m2d"]) < 1e-5 * meta["loss_m2d"]
    output.loss.backward()
    check_gradients(objective, arrays)
    norm = torch.nn.utils.get_total_norm([p.grad for p in objective.parameters() if p.grad is not None])
    assert abs(norm.item() - meta["grad_norm_total"]) < 1e-5 * meta["grad_norm_total"]


def check_gradients(objective, arrays):
    gradients = {name: p.grad for name, p in objective.named_parameters()}
    checked = 0
    for name, value in arrays.items():
        if name.startswith("grad."):
            torch.testing.assert_close(gradients[from_published(name[5:])], value, rtol=1e-4, atol=2e-6)
            checked += 1
    assert checked >= 6


def m2ds(arrays, lambda_m2d, lambda_off):
    config = ModelConfig(input_size=[80, 208], patch_size=[80, 4], mask_ratio=0.6,
                         lambda_m2d=lambda_m2d, lambda_off=lambda_off, teacher_width=768, **TINY)
    objective = build_objective(config)
    load_weights(objective, arrays)
    return objective


def test_m2ds_stages_and_gradients(golden):
    arrays, meta = golden("d_m2ds_tiny_80x208_p80x4")
    objective = m2ds(arrays, 1.0, 0.5)
    output = objective(arrays["x"], arrays["h_50hz"], mask_noise=arrays["noise"])
    assert abs(output.terms["m2d"].item() - meta["loss_m2d"]) < 2e-5
    assert abs(output.terms["off"].item() - meta["loss_off"]) < 2e-5
    output.loss.backward()
    check_gradients(objective, arrays)
    close(objective.student_frames(objective.predict(arrays["x"], arrays["noise"])), arrays["h_hat"])


@pytest.mark.parametrize("weights", [(1.0, 0.5), (1.0, 1.0), (0.5, 1.0), (0.0, 1.0)])
@pytest.mark.parametrize("frames", ["h_50hz", "h"])
def test_m2ds_totals(golden, weights, frames):
    arrays, meta = golden("d_m2ds_tiny_80x208_p80x4")
    objective = m2ds(arrays, *weights)
    expected = meta["totals"][f"m2d={weights[0]},off={weights[1]}"]
    output = objective(arrays["x"], arrays[frames], mask_noise=arrays["noise"])
    assert abs(output.loss.item() - expected) < 1e-5 * expected
    assert (objective.target is None) == (weights[0] == 0)


def test_initialisation(golden):
    """Every parameter of ViT-Base: shape, trained or not, mean, deviation and range as in the published models."""
    torch.manual_seed(0)
    objective = build_objective(ModelConfig())
    expected = json.loads((GOLDEN / "init_stats_vit_base.json").read_text())
    fixed = {"norm_stats", "pos_embed", "decoder_pos_embed"}
    parameters = {to_published(name): p.detach() for name, p in objective.named_parameters()}
    trained = {to_published(name) for name, p in objective.named_parameters() if p.requires_grad}
    assert parameters.keys() == expected.keys() - fixed
    for name, parameter in parameters.items():
        stats = expected[name]
        assert list(parameter.shape) == stats["shape"], name
        assert (name in trained) == stats["requires_grad"], name
        # the two draws differ by chance: five standard errors of mean and deviation
        error = 5 * stats["std"] / parameter.numel() ** 0.5
        assert abs(parameter.mean().item() - stats["mean"]) <= 1.5 * error, name
        assert abs(parameter.std().item() - stats["std"]) <= 1.5 * error, name
        slack = 1.4 if name in ("cls_token", "mask_token") else 1.01  # normal, uniform
        assert stats["absmax"] / slack <= parameter.abs().max().item() <= stats["absmax"] * slack, name
    assert not torch.equal(parameters["blocks.0.attn.qkv.weight"], parameters["target_blocks.0.attn.qkv.weight"])
