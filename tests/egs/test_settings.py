"""Every committed setting of pre-training builds, and has the tokens and parameters of the paper's row."""

import re
from pathlib import Path

import pytest

from m2d.common.errors import UserError
from m2d.nn.summary import summarise
from m2d.training.plan import PlanOptions, cost, inputs, load_settings, setting_lines

EGS = Path(__file__).parents[2] / "egs"
SETTINGS = sorted(EGS.glob("*/conf/pretrain_*.yaml"))
AUDIO = [path for path in SETTINGS if path.parts[-3] != "imagenet_m2d"]
PUBLISHED = [path for path in AUDIO if "mini" not in path.stem]
VIT_BASE = {"m2d": 111.3e6, "m2d_all_patches": 111.3e6, "mae": 92.75e6}  # trainable parameters

# rows of M2D-S tables 2 to 6: patches, visible patches, noise ratio, lambda_m2d, lambda_off
M2DS_ROWS = {
    **{f"pretrain_m2d_noise{a}": (52, 20, a, 1.0, 0.0) for a in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0)},
    "pretrain_m2d_patch16x16": (65, 26, 0.2, 1.0, 0.0),
    "pretrain_m2d_patch40x8": (52, 20, 0.2, 1.0, 0.0),
    "pretrain_m2d_patch40x4": (104, 41, 0.2, 1.0, 0.0),
    "pretrain_m2d_patch40x2": (208, 83, 0.2, 1.0, 0.0),
    "pretrain_m2d_patch80x8": (26, 10, 0.2, 1.0, 0.0),
    "pretrain_m2d_patch80x2": (104, 41, 0.2, 1.0, 0.0),
    "pretrain_m2d_t3.04s": (76, 30, 0.2, 1.0, 0.0),
    "pretrain_m2d_t4.00s": (100, 40, 0.2, 1.0, 0.0),
    "pretrain_m2d_t5.12s": (128, 51, 0.2, 1.0, 0.0),
    "pretrain_m2d_t6.08s": (152, 60, 0.2, 1.0, 0.0),
    "pretrain_m2ds_distill": (52, 20, 0.0, 0.0, 1.0),
    "pretrain_m2ds_distill_denoise": (52, 20, 0.2, 0.0, 1.0),
    "pretrain_m2ds_m2d_distill": (52, 20, 0.0, 1.0, 1.0),
    "pretrain_m2ds_all_tasks": (52, 20, 0.2, 1.0, 1.0),
    "pretrain_m2ds_t4.0s_80x2": (200, 80, 0.2, 1.0, 0.5),
    "pretrain_m2ds_t5.12s_80x2": (256, 102, 0.2, 1.0, 0.5),
    "pretrain_m2ds_t6.08s_80x2": (304, 121, 0.2, 1.0, 0.5),
}

# rows of M2D tables 1 and 3 and figure 3: masking ratio, visible of 190 patches
M2D_ROWS = {
    **{f"pretrain_m2d_r{ratio}": (ratio, visible) for ratio, visible in
       ((0.5, 95), (0.6, 76), (0.7, 57), (0.8, 37), (0.9, 18))},  # rounded down, as the public code does
    "pretrain_m2d_all_patches_r0.6": (0.6, 76), "pretrain_m2d_all_patches_r0.7": (0.7, 57), "pretrain_mae": (0.75, 47),
}


def name(path):
    return f"{path.parts[-3]}/{path.stem}"


@pytest.mark.parametrize("path", PUBLISHED, ids=name)
def test_published_setting_names_its_row_and_has_the_size_of_vit_base(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.match(r"# .*paper.*(table|figure) \d", first), first
    config = load_settings(str(path), [])
    summary = summarise(config.model)
    offline = 768 * (config.model.encoder.width * config.model.encoder.grid.n_freq + 1)
    f, t = config.model.patch_size
    embedding = config.model.encoder.width * (f * t - 256) + (f * t - 256) * 384 * (config.model.objective == "mae")
    expected = VIT_BASE[config.model.objective] + (offline if config.model.lambda_off else 0) + embedding
    assert summary.trainable == pytest.approx(expected, rel=2e-3)
    assert config.optim.batch_size == 2048 and config.optim.base_lr == 3e-4
    assert (config.optim.ema_start, config.optim.ema_end) == (0.99995, 0.99999)


@pytest.mark.parametrize("row", M2DS_ROWS)
def test_m2ds_row(row):
    patches, visible, ratio, m2d, off = M2DS_ROWS[row]
    config = load_settings(str(EGS / "librispeech_m2ds" / "conf" / f"{row}.yaml"), [])
    assert (config.model.encoder.grid.n_patches, config.model.n_visible) == (patches, visible)
    assert (config.data.noise_ratio, config.model.lambda_m2d, config.model.lambda_off) == (ratio, m2d, off)
    assert (config.optim.epochs, config.optim.warmup_epochs, config.model.mask_ratio) == (1000, 60, 0.6)


@pytest.mark.parametrize("row", M2D_ROWS)
def test_m2d_row(row):
    config = load_settings(str(EGS / "audioset_m2d" / "conf" / f"{row}.yaml"), [])
    assert (config.model.mask_ratio, config.model.n_visible) == M2D_ROWS[row]
    assert config.model.encoder.grid == (5, 38) and config.data.noise_ratio == 0
    assert (config.optim.epochs, config.optim.warmup_epochs) == (300, 20)


def test_every_setting_is_checked():
    assert {path.stem for path in PUBLISHED} == M2DS_ROWS.keys() | M2D_ROWS.keys()


@pytest.mark.parametrize("path", AUDIO, ids=name)
def test_plan_tells_what_a_setting_reads(path):
    config = load_settings(str(path), [])
    needs = inputs(config)
    assert ("teacher" in needs) == (config.model.lambda_off > 0) and ("noise" in needs) == (config.data.noise_ratio > 0)


def test_plan_of_the_best_model():
    path = EGS / "librispeech_m2ds" / "conf" / "pretrain_m2ds_t6.08s_80x2.yaml"
    rows = dict(cost(load_settings(str(path), []), PlanOptions(config=str(path))))
    assert rows["tokens, visible / all"] == "121 / 304"
    assert rows["epochs, optimiser steps"] == "1000, 137000"
    assert rows["disk: teacher"] == "265 GB float16, 133 GB int8"
    assert rows["time at 1 x 490 TFLOP/s"] == "23h43m, 3292 samples/s"
    assert rows["disk: checkpoints"] == "11 of 1.7 GB"
    assert rows["on 1 x GPU of 16 GiB"].startswith("bf16, 16 x 128 samples a step, about 12.2 GiB")
    config = load_settings(str(path), ["run.dtype=fp32", "optim.micro_batch=512"])
    rows = dict(cost(config, PlanOptions(config=str(path), gpus=8)))
    assert rows["on 8 x GPU of 24 GiB"].startswith("too small: fp32, 256 at a time")


@pytest.mark.parametrize(("changes", "needs"), [
    ([], ["speech"]), (["data.noise_ratio=0.1"], ["speech", "noise"]), (["model.lambda_off=1"], ["speech", "teacher"]),
    (["data.noise_ratio=1", "model.lambda_off=0.5", "data.valid=held_out"], ["speech", "noise", "teacher"])])
def test_plan_of_changed_settings(changes, needs):
    assert inputs(load_settings(str(EGS / "audioset_m2d" / "conf" / "pretrain_m2d_r0.6.yaml"), changes)) == needs


@pytest.mark.parametrize(("change", "message"), [
    ("data.noise_ratio=2", "must lie in [0, 1]"), ("data.teacher=x", "data.teacher does not apply"),
    ("optim.warmup_epochs=-1", "must lie in [0, inf)"), ("run.seeed=1", "did you mean 'run.seed'")])
def test_plan_refuses_what_a_run_would_refuse(change, message):
    with pytest.raises(UserError, match=re.escape(message)):
        load_settings(str(EGS / "audioset_m2d" / "conf" / "pretrain_m2d_r0.6.yaml"), [change])


def test_settings_that_shape_the_result_are_told_one_by_one():
    """What marks of finished stages hold: neither defaults, nor what is about speed, nor where the data lie."""
    path = EGS / "audioset_m2d" / "conf" / "pretrain_m2d_r0.6.yaml"
    plain = setting_lines(load_settings(str(path), []))
    assert plain == setting_lines(load_settings(str(path), ["data.workers=7", "optim.micro_batch=4", "data.speech=x"]))
    changed = setting_lines(load_settings(str(path), ["optim.epochs=5", "optim.warmup_epochs=1"]))
    assert set(changed) - set(plain) == {"optim.epochs=5", "optim.warmup_epochs=1.0"}
