"""Masks for any grid, ratio and batch; patches in the published order."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from m2d.common.errors import UserError
from m2d.nn import ModelConfig
from m2d.nn.encoder import PatchEmbed
from m2d.nn.encoder_config import EncoderConfig
from m2d.nn.patches import patchify, random_split, visible_count


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 30), st.floats(0.05, 0.95), st.integers(0, 2**31))
def test_visible_and_masked_partition_the_patches(batch, n_freq, n_time, ratio, seed):
    n_patches = n_freq * n_time
    pixels = torch.zeros(batch, n_patches, 1)
    noise = torch.rand(batch, n_patches, generator=torch.Generator().manual_seed(seed))
    mask = random_split(pixels, visible_count(n_patches, ratio), noise)
    both = torch.cat([mask.visible, mask.masked], dim=1)
    assert mask.visible.shape == (batch, int(n_patches * (1 - ratio)))
    assert torch.equal(both.sort(dim=1).values, torch.arange(n_patches).expand(batch, -1))
    assert torch.equal(mask.shuffle.gather(1, mask.restore), torch.arange(n_patches).expand(batch, -1))
    assert torch.equal(mask.restore.gather(1, mask.shuffle), torch.arange(n_patches).expand(batch, -1))


def test_published_numbers_of_visible_patches():
    assert visible_count(190, 0.7) == 57
    assert visible_count(52, 0.6) == 20
    assert visible_count(196, 0.75) == 49


def test_masks_of_a_generator_are_repeatable_and_differ_between_samples():
    pixels = torch.zeros(3, 50, 1)
    torch.manual_seed(5)
    first, second = random_split(pixels, 20), random_split(pixels, 20)
    torch.manual_seed(5)
    assert torch.equal(random_split(pixels, 20).shuffle, first.shuffle)
    assert not torch.equal(first.shuffle, second.shuffle)
    assert not torch.equal(first.shuffle[0], first.shuffle[1])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.sampled_from([(16, 16), (80, 2), (40, 4), (20, 5)]), st.integers(16, 50))
def test_patch_embedding_is_the_strided_convolution(channels, patch, frames):
    x = torch.randn(2, channels, 80, frames)
    embed = PatchEmbed(patch, channels, 12)
    tokens = embed(patchify(x, patch))
    expected = F.conv2d(x, embed.proj.weight, embed.proj.bias, stride=patch).flatten(2).transpose(1, 2)
    torch.testing.assert_close(tokens, expected, rtol=1e-5, atol=1e-5)


def test_grid_of_published_settings():
    def n_patches(size, patch, channels=1):
        return EncoderConfig(size, patch, channels, 64, 1, 1).grid.n_patches
    assert n_patches((80, 608), (16, 16)) == 190
    assert n_patches((80, 208), (80, 4)) == 52
    assert n_patches((80, 208), (40, 2)) == 208
    assert n_patches((80, 304), (80, 4)) == 76
    assert n_patches((80, 512), (80, 2)) == 256
    assert n_patches((224, 224), (16, 16), channels=3) == 196


@pytest.mark.parametrize(("options", "message"), [
    ({"objective": "m2dd"}, "did you mean 'm2d'"),
    ({"size": "huge"}, "small, base, large"),
    ({"width": 512}, "use size=custom"),
    ({"size": "custom", "width": 64}, "depth and heads"),
    ({"size": "custom", "width": 64, "depth": 1, "heads": 5}, "multiple of the heads"),
    ({"predictor_width": 30}, "predictor"),
    ({"patch_size": [30, 4]}, "does not divide the 80"),
    ({"patch_size": [80, 700]}, "shorter than a patch"),
    ({"input_size": [80]}, "two numbers"),
    ({"mask_ratio": 1.0}, "leaves 0 of 190"),
    ({"mask_ratio": 0.0}, "leaves 190 of 190"),
    ({"lambda_m2d": 0.0}, "one must be positive"),
    ({"lambda_off": -1.0}, "negative"),
    ({"objective": "mae", "lambda_off": 0.5}, "do not apply"),
    ({"objective": "m2d_all_patches", "lambda_off": 0.5}, "lambda_off does not apply to objective=m2d_all_patches"),
    ({"objective": "data2vec", "top_layers": 13}, "top_layers=13: the encoder has 12 blocks"),
    ({"objective": "data2vec", "lambda_m2d": 0.5}, "do not apply to objective=data2vec"),
    ({"objective": "m2ds"}, "objective=m2ds needs lambda_off > 0"),
    ({"objective": "m2d_all"}, "unknown objective .m2d_all., did you mean .m2d_all_patches"),
])
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises((UserError, ValueError), match=message):
        ModelConfig(**options)
