"""Noise mixing against the public implementation (golden vector f)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from m2d.audio.logmel import normalise
from m2d.audio.noise import mix_noise

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


@pytest.fixture(scope="module")
def golden():
    arrays = {name: torch.from_numpy(value) for name, value in np.load(GOLDEN / "f_mix.npz").items()}
    return arrays, json.loads((GOLDEN / "f_mix.json").read_text())["stats_used"]["full"]


def test_golden_formula(golden):
    arrays, _ = golden
    raw = mix_noise(arrays["clean"], arrays["noise"], 0.2, 0.0, 1.0, 0.0)
    assert torch.allclose(raw, arrays["log_mixup_exp_raw_a02"], atol=1e-5)


def test_golden_mixture_with_the_statistics_of_both_sets(golden):
    arrays, stats = golden
    mixed = mix_noise(arrays["clean"], arrays["noise"], 0.2, stats["mean_clean"], stats["std_clean"],
                      stats["mean_noise"])
    assert torch.allclose(mixed, arrays["ds_mixed_out"], atol=1e-5)
    assert torch.allclose(normalise(arrays["clean"], stats["mean_clean"], stats["std_clean"]),
                          arrays["ds_clean_out"], atol=1e-5)


def test_extreme_ratios(golden):
    arrays, _ = golden
    speech, noise = arrays["clean"], arrays["noise"]
    assert torch.equal(mix_noise(speech, None, 0.0, -7.0, 4.0, 0.0), normalise(speech, -7.0, 4.0))
    alone = mix_noise(speech, noise, 1.0, -7.0, 4.0, -5.0)
    assert torch.allclose(alone, normalise(noise, -5.0, 4.0), atol=1e-5)
    with pytest.raises(ValueError, match="needs noise"):
        mix_noise(speech, None, 0.2, -7.0, 4.0, 0.0)


def test_half_precision_store_is_mixed_in_float32(golden):
    arrays, _ = golden
    mixed = mix_noise(arrays["clean"].half(), arrays["noise"].half(), 0.2, -7.0, 4.0, -5.0)
    assert mixed.dtype == torch.float32
    assert torch.allclose(mixed, mix_noise(arrays["clean"], arrays["noise"], 0.2, -7.0, 4.0, -5.0), atol=5e-3)


def test_inaudible_mixture_is_floored():
    deep = torch.full((80, 4), -15.942385)
    assert torch.allclose(mix_noise(deep, deep, 0.2, 10.0, 2.0, 10.0), torch.tensor(-15.942385 / 2), atol=1e-5)
