"""The step benchmark at a tiny size: the two steps are one function, the table holds, and little is imported."""

import json
import subprocess
import sys

import pytest
import torch
from bench import step, steps
from bench.kernels import kind, time_by_kind
from bench.plain import PlainM2D

from m2d.nn import ModelConfig

TINY = {"size": "custom", "width": 32, "depth": 2, "heads": 2, "predictor_width": 32, "predictor_depth": 1,
        "predictor_heads": 2, "teacher_width": 8}
CPU = torch.device("cpu")


def tiny(**model):
    return ModelConfig(**{**model, **TINY})


@pytest.mark.parametrize("name", [name for name, model in step.SETTINGS.items() if "objective" not in model])
def test_plain_is_the_same_function(name):
    config = tiny(**step.SETTINGS[name])
    batch, = steps.make_batches(config, 2, CPU, count=1)
    ours, plain = steps.make_models(config, CPU)
    assert steps.check_equal(ours, plain, batch) < 1e-5
    for call, model in ((steps.our_loss, ours), (steps.plain_loss, plain)):
        call(model)(batch).backward()
    gradients = {steps.plain_name(key): p.grad for key, p in ours.named_parameters() if p.grad is not None}
    for key, parameter in plain.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(gradients[key].reshape(parameter.shape), parameter.grad, rtol=1e-3, atol=1e-5)


def test_steps_keep_together():
    config = tiny(**step.SETTINGS["m2ds_80x208_80x4"])
    batches = steps.make_batches(config, 2, CPU)
    ours, plain = (steps.Step(variant, config, batches) for variant in ("fp32", "plain+fp32"))
    for _ in range(3):
        ours()
        plain()
    assert ours.forward().item() == pytest.approx(plain.forward().item(), rel=1e-4)


def test_an_objective_without_a_plain_variant_is_timed_alone(capsys):
    step.main(["--settings", "msm_mae_80x608_16x16", "--variants", "plain+fp32,fp32", "--batch", "1,2", "--size",
               "tiny", "--device", "cpu", "--repeats", "1", "--warmup", "0", "--threads", "1"])
    rows = [line.split(" | ")[:3] for line in capsys.readouterr().out.splitlines() if line.startswith("| msm")]
    assert rows == [["| msm_mae_80x608_16x16", "fp32", "1"], ["| msm_mae_80x608_16x16", "fp32", "2"]]
    with pytest.raises(SystemExit):
        step.parse(["--batch", "fill", "--device", "cpu"])


def test_another_function_is_not_timed():
    config = tiny(**step.SETTINGS["m2d_80x608_16x16"])
    batch, = steps.make_batches(config, 2, CPU, count=1)
    ours, _ = steps.make_models(config, CPU)
    with pytest.raises(RuntimeError, match="differ before timing"):
        steps.check_equal(ours, PlainM2D(config), batch)


def test_table_and_json(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(step, "ModelConfig", tiny)
    path = tmp_path / "step.json"
    step.main(["--settings", "m2ds_80x208_80x4", "--variants", "plain+fp32,fp32,bf16", "--batch", "2",
               "--device", "cpu", "--repeats", "1", "--warmup", "0", "--threads", "1", "--json", str(path)])
    rows = json.loads(path.read_text())["rows"]
    assert [row["variant"] for row in rows] == ["plain+fp32", "fp32", "bf16"]
    for row in rows:
        assert row["samples_per_s"] == pytest.approx(2e3 / row["ms"])
        assert row["of_mm"] == pytest.approx(row["tflop_per_s"] / row["ceilings_tflop_per_s"]["mm"])
    assert rows[0]["times_plain"] == 1 and "times_plain" not in rows[2]
    assert capsys.readouterr().out.splitlines()[-4].startswith("| --- |")


def test_out_of_time_is_said(monkeypatch, capsys):
    monkeypatch.setattr(step, "ModelConfig", tiny)
    step.main(["--settings", "m2ds_80x208_80x4", "--device", "cpu", "--minutes", "0", "--batch", "2"])
    assert capsys.readouterr().out.count("not measured: out of time") == 2


def test_unknown_words_are_named(capsys):
    with pytest.raises(SystemExit):
        step.parse(["--variants", "fp32,fp8"])
    assert "unknown 'fp8'" in capsys.readouterr().err


def test_shares_of_time_add_up():
    a = torch.randn(64, 64)
    shares = time_by_kind(lambda: (a @ a).relu(), CPU, largest=50)
    assert shares["matmul"] > 0 and "relu" in shares
    assert sum(shares.values()) == pytest.approx(1)
    assert kind("void at::native::vectorized_elementwise_kernel<4, at::native::AddFunctor<float>>") \
        == "vectorized_elementwise_kernel"
    assert kind("nvjet_tst_128x256_64x4_2x1_v_bz_coopA_NNT") == "matmul"
    assert kind("void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits>") == "attention"


def test_needs_torch_and_numpy_alone():
    others = ["omegaconf", "torchaudio", "transformers", "soundfile", "soxr", "scipy", "matplotlib", "safetensors"]
    code = f"import sys, bench.step; print([name for name in {others} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
