"""What each objective lets flow where: gradients, leaks between the networks, zero weights, short clips, switches."""

import pytest
import torch
from torch import nn

from m2d.nn import ModelConfig, build_objective
from m2d.nn.objectives import OBJECTIVES, Prediction, cosine_error, standardise
from m2d.nn.patches import random_split

KINDS = {
    "m2d": {},
    "all_patches": {"objective": "m2d_all_patches"},
    "mae": {"objective": "mae"},
    "data2vec": {"objective": "data2vec", "top_layers": 2},
    "m2ds": {"lambda_off": 0.5},
    "distillation": {"lambda_m2d": 0.0, "lambda_off": 1.0},
}


def tiny(**options):
    torch.manual_seed(0)
    return build_objective(ModelConfig(**{
        "input_size": [80, 96], "patch_size": [40, 4], "size": "custom", "width": 32, "depth": 2, "heads": 4,
        "predictor_width": 16, "predictor_depth": 2, "predictor_heads": 4, "teacher_width": 24, **options}))


def batch(objective, samples=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    grid = objective.config.encoder.grid
    inputs = {"x": torch.randn(samples, 1, 80, 96, generator=generator),
              "mask_noise": torch.rand(samples, grid.n_patches, generator=generator)}
    if objective.config.lambda_off:
        inputs["teacher"] = torch.randn(samples, 48, 24, generator=generator)
    return inputs


def perturb(x, index, grid=(2, 24), patch=(40, 4)):
    """x with the patches at `index` [B, n] changed."""
    x = x.clone()
    for sample, patches in enumerate(index.tolist()):
        for f, t in (divmod(patch_index, grid[1]) for patch_index in patches):
            x[sample, :, f * patch[0]:(f + 1) * patch[0], t * patch[1]:(t + 1) * patch[1]] += 3.0
    return x


@pytest.mark.parametrize("kind", KINDS)
def test_every_trained_parameter_gets_a_gradient_and_the_target_none(kind):
    objective = tiny(**KINDS[kind])
    objective(**batch(objective)).loss.backward()
    for name, parameter in objective.named_parameters():
        if name.startswith("target."):
            assert not parameter.requires_grad and parameter.grad is None, name
        else:
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_the_shared_patch_embedding_gets_its_gradient_from_the_online_side_alone():
    """With the target's answer fixed as a constant, the gradient of everything is the same bit for bit."""
    objective = tiny()
    inputs = batch(objective)
    objective(**inputs).loss.backward()
    gradients = {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}
    objective.zero_grad()
    prediction = objective.predict(inputs["x"], inputs["mask_noise"])
    cosine_error(prediction.masked, objective.targets(prediction).clone()).mean().backward()
    for name, gradient in gradients.items():
        assert torch.equal(objective.get_parameter(name).grad, gradient), name


def networks_see(objective, x, noise):
    """Online latents and standardised targets for a batch."""
    prediction = objective.predict(x, noise)
    return prediction.latent, objective.targets(prediction), prediction.mask


@pytest.mark.parametrize("kind", ["m2d", "all_patches", "data2vec", "m2ds"])
def test_no_leak_between_visible_and_masked(kind):
    objective = tiny(**KINDS[kind])
    inputs = batch(objective)
    x, noise = inputs["x"], inputs["mask_noise"]
    latent, target, mask = networks_see(objective, x, noise)
    masked_latent, masked_target, _ = networks_see(objective, perturb(x, mask.masked), noise)
    assert torch.equal(masked_latent, latent)
    assert not torch.equal(masked_target, target)
    visible_latent, visible_target, _ = networks_see(objective, perturb(x, mask.visible), noise)
    assert not torch.equal(visible_latent, latent)
    assert torch.equal(visible_target, target) == (kind not in ("all_patches", "data2vec"))


def test_all_patches_variant_differs_in_the_target_alone():
    m2d, variant = tiny(), tiny(objective="m2d_all_patches")
    inputs = batch(m2d)
    ours = networks_see(m2d, inputs["x"], inputs["mask_noise"])
    theirs = networks_see(variant, inputs["x"], inputs["mask_noise"])
    assert torch.equal(ours[0], theirs[0])
    assert ours[1].shape == theirs[1].shape and not torch.allclose(ours[1], theirs[1], atol=1e-3)
    assert [p.shape for p in m2d.parameters()] == [p.shape for p in variant.parameters()]


def test_mae_reconstructs_masked_pixels_only():
    objective = tiny(objective="mae")
    inputs = batch(objective)
    pixels, mask, _, prediction = objective.predict(inputs["x"], inputs["mask_noise"])
    wanted = torch.stack([standardise(pixels[b, mask.masked[b]]) for b in range(len(pixels))])
    expected = ((prediction - wanted) ** 2).mean()
    torch.testing.assert_close(objective(**inputs).loss, expected)


def test_weight_of_zero_leaves_the_branch_out():
    assert tiny(**KINDS["distillation"]).target is None
    assert not hasattr(tiny(), "offline")
    objective = tiny(**KINDS["distillation"])
    output = objective(**batch(objective))
    assert set(output.terms) == {"off"} and "target_std" not in output.monitor
    assert torch.equal(output.loss, output.terms["off"])
    objective.update_target(0.5)  # nothing to move, and no error: all objectives share the training loop


def test_objectives_by_name():
    names = ["m2d", "m2d_all_patches", "mae", "data2vec", "m2ds", "m2ds"]  # objective=m2d with a teacher is M2D-S
    assert [type(tiny(**KINDS[kind])) for kind in KINDS] == [OBJECTIVES.get(name) for name in names]
    assert type(tiny(objective="m2ds", lambda_off=0.5)) is OBJECTIVES.get("m2ds")


def test_a_width_that_nobody_told_is_asked_for():
    with pytest.raises(ValueError, match="teacher_width is not known"):
        tiny(lambda_off=0.5, teacher_width=None)


@pytest.mark.parametrize("rows", [46, 12])
def test_teacher_of_another_length_is_refused(rows):
    objective = tiny(lambda_off=1.0)
    with pytest.raises(ValueError, match=f"{rows} teacher frames for 96 columns: no whole number for each patch of 4"):
        objective(**{**batch(objective), "teacher": torch.zeros(3, rows, 24)})


@pytest.mark.parametrize("rows", [24, 96])
def test_a_teacher_of_any_rate_is_averaged_to_the_patch_rate(rows):
    """25 Hz as patches of 4 frames have it, or 100 Hz as log-mels have it: each row stands for its part of the time."""
    objective = tiny(lambda_off=1.0)
    inputs = batch(objective)
    at_patch_rate = torch.randn(3, 24, 24)
    expected = objective(**{**inputs, "teacher": at_patch_rate}).loss
    teacher = at_patch_rate.repeat_interleave(rows // 24, dim=1)
    torch.testing.assert_close(objective(**{**inputs, "teacher": teacher}).loss, expected)


def test_teacher_frames_past_the_end_of_a_clip_do_not_count():
    objective = tiny(**KINDS["distillation"])
    inputs = batch(objective)
    frames = torch.tensor([48, 20, 7])  # 24, 10 and 3 whole patches of two frames
    loss = objective(**inputs, teacher_frames=frames).loss
    changed = inputs["teacher"].clone()
    changed[1, 20:], changed[2, 6:] = 9.0, 0.0
    assert torch.equal(objective(**{**inputs, "teacher": changed}, teacher_frames=frames).loss, loss)
    student = objective.student_frames(objective.predict(inputs["x"], inputs["mask_noise"]))
    teacher = standardise(inputs["teacher"].view(3, 24, 2, 24).mean(2))
    error = cosine_error(student, teacher)
    expected = torch.stack([error[0].mean(), error[1, :10].mean(), error[2, :3].mean()]).mean()  # clips count alike
    torch.testing.assert_close(loss, expected)
    none = objective(**inputs, teacher_frames=torch.zeros(3, dtype=torch.long)).loss
    assert none.item() == 0.0


def test_patches_of_one_time_frame_are_concatenated_lowest_frequency_first():
    """M2D-S, section 3.3, for an input split in frequency: latents where visible, predictions where masked."""
    objective = tiny(**KINDS["m2ds"])
    (n_freq, n_time), width = objective.config.encoder.grid, 32
    mask = random_split(torch.zeros(2, n_freq * n_time, 1), objective.config.n_visible)
    patches = torch.randn(2, n_freq * n_time, width)  # row f * N_T + t

    def pick(index):
        return torch.stack([patches[b, index[b]] for b in range(2)])
    latent = torch.cat([torch.full((2, 1, width), 1e3), pick(mask.visible)], dim=1)  # the class token must not show
    objective.offline = nn.Identity()
    frames = objective.student_frames(Prediction(patches, mask, latent, pick(mask.masked)))
    for t in range(n_time):
        assert torch.equal(frames[:, t], torch.cat([patches[:, t], patches[:, n_time + t]], dim=1))


def test_standardise_uses_the_unbiased_variance():
    x = torch.randn(4, 7, 32) * 3 + 1
    expected = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=True) + 1e-6).sqrt()
    torch.testing.assert_close(standardise(x), expected)


def test_data2vec_regresses_the_mean_of_the_top_blocks_each_standardised():
    objective = tiny(objective="data2vec", top_layers=2, depth=3)
    inputs = batch(objective)
    prediction = objective.predict(inputs["x"], inputs["mask_noise"])
    everything = torch.arange(48).expand(3, -1)
    hidden, outputs = objective.encoder.embed(prediction.pixels, everything), []
    for block in objective.encoder.transformer.blocks:  # whose copy the target is before the first step
        hidden = block(hidden)
        outputs.append(hidden[:, 1:])
    outputs[-1] = objective.encoder.transformer.norm(hidden)[:, 1:]
    expected = (standardise(outputs[1]) + standardise(outputs[2])) / 2
    expected = torch.stack([expected[b, prediction.mask.masked[b]] for b in range(3)])
    torch.testing.assert_close(objective.targets(prediction), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(objective(**inputs).loss, ((prediction.masked - expected) ** 2).mean())
    assert -1 <= objective.agreement(prediction).min() <= objective.agreement(prediction).max() <= 1


def test_update_target_moves_blocks_and_norm():
    objective = tiny()
    before = [p.clone() for p in objective.target.parameters()]
    objective.update_target(0.75)
    for old, new, online in zip(before, objective.target.parameters(), objective.encoder.transformer.parameters(),
                                strict=True):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * online)


@pytest.mark.parametrize("kind", KINDS)
def test_switches_keep_the_numbers(kind):
    """Activation checkpointing is exact; bf16 autocast stays near, its losses in float32."""
    objective = tiny(**KINDS[kind])
    inputs = batch(objective)
    plain = objective(**inputs)
    plain.loss.backward()
    gradient = objective.encoder.patch_embed.proj.weight.grad.clone()
    again = tiny(**KINDS[kind], activation_checkpointing=True)
    checkpointed = again(**inputs)
    checkpointed.loss.backward()
    assert torch.equal(checkpointed.loss, plain.loss)
    torch.testing.assert_close(again.encoder.patch_embed.proj.weight.grad, gradient)
    objective.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = objective(**inputs)
    half.loss.backward()
    assert half.loss.dtype == torch.float32
    torch.testing.assert_close(half.loss, plain.loss, rtol=1e-2, atol=0)
    difference = objective.encoder.patch_embed.proj.weight.grad - gradient
    assert difference.norm() < 0.05 * gradient.norm()


def test_images():
    objective = build_objective(ModelConfig(
        input_size=[224, 224], patch_size=[16, 16], in_channels=3, mask_ratio=0.75,
        size="custom", width=32, depth=1, heads=2, predictor_width=16, predictor_depth=1, predictor_heads=2))
    output = objective(torch.randn(2, 3, 224, 224))
    assert objective.encoder.config.grid == (14, 14) and objective.config.n_visible == 49
    assert 1.0 < output.loss.item() < 3.0


@pytest.mark.parametrize("kind", ["m2d", "mae", "data2vec", "m2ds"])
def test_learns(kind):
    """A few steps on one batch lower the loss, and the target does not collapse."""
    objective = tiny(**KINDS[kind])
    inputs = batch(objective)
    optimizer = torch.optim.AdamW(nn.ParameterList(p for p in objective.parameters() if p.requires_grad), lr=3e-3)
    losses = []
    for _ in range(15):
        output = objective(**inputs)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        objective.update_target(0.99)
        losses.append(output.loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert output.monitor["latent_std"] > 0.3
    if kind != "mae":
        assert output.monitor["target_std"] > 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_one_graph_for_the_compiler(kind):
    """torch.compile takes forward as a single graph: no break, hence no host synchronisation in it, same numbers."""
    objective = tiny(**KINDS[kind])
    inputs = batch(objective)
    if objective.config.lambda_off:
        inputs["teacher_frames"] = torch.tensor([48, 20, 7])
    plain = objective(**inputs)
    compiled = torch.compile(objective, backend="eager", fullgraph=True)(**inputs)
    assert torch.equal(compiled.loss, plain.loss)
    assert compiled.terms.keys() == plain.terms.keys() and compiled.monitor.keys() == plain.monitor.keys()
