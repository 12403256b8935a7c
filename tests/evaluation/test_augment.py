"""Augmentation does what its source says, and nothing where it is off."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from m2d.evaluation import augment
from m2d.evaluation.augment import mixup, random_resize_crop, spec_augment, structured_patchout
from m2d.nn.patches import Grid


def test_mixup_mixes_powers_and_labels_alike():
    torch.manual_seed(0)
    logmel = torch.randn(6, 5, 4)
    mixed, targets = mixup(logmel, torch.eye(6), 0.3)
    assert torch.allclose(targets.sum(1), torch.ones(6))
    for clip, target in zip(mixed, targets, strict=True):
        powers = torch.einsum("n,ntf->tf", target, logmel.exp())
        assert torch.allclose(clip.exp(), powers, rtol=1e-4)
    assert (targets.max(1).values < 1).any()


def test_mixup_draws_lambda_per_clip_from_beta():
    torch.manual_seed(0)
    partners = torch.arange(4000) % 2
    _, targets = mixup(torch.zeros(4000, 1, 1), F.one_hot(partners).float(), 0.3)
    mixed = targets[(targets != 1) & (targets != 0)]
    assert abs(mixed.mean() - 0.5) < 0.02
    assert abs(mixed.var() - 0.25 / (2 * 0.3 + 1)) < 0.02  # variance of Beta(a, a): 1 / (4 (2a + 1))


def test_no_alpha_no_mixup():
    logmel, targets = torch.randn(3, 5, 4), torch.eye(3)
    same, labels = mixup(logmel, targets, 0.0)
    assert same is logmel and labels is targets


@pytest.mark.parametrize("height, width, top, left", [
    (0.6, 0.6, 0.1, 0.3), (0.6, 1.2, 0.4, -0.1), (1.0, 1.5, 0.0, -0.25)])
def test_crop_is_a_bicubic_resize_of_a_part_of_the_canvas(height, width, top, left, monkeypatch):
    """Sizes and corners in inputs from the input's own corner; compared away from the crop's edges."""
    freq, time = 40, 60
    x = F.avg_pool2d(torch.randn(1, 1, freq + 8, time + 8, generator=torch.Generator().manual_seed(0)), 9, 1)
    place = ((top + height / 2 - 0.5) / (1 - height) * 2 if height < 1 else 0.0,
             (left + width / 2 - 0.5) / (1.5 - width) * 2 if width < 1.5 else 0.0)
    draws = iter([(height - 0.6) / 0.9, (place[0] + 1) / 2, (width - 0.6) / 0.9, (place[1] + 1) / 2])
    monkeypatch.setattr(augment.torch, "rand", lambda *shape, **_: torch.full(shape, next(draws)))
    cropped = random_resize_crop(x)
    assert cropped.shape == x.shape
    margin = round(0.25 * time)
    canvas = F.pad(x, (margin, margin))
    rows = slice(round(top * freq), round((top + height) * freq))
    columns = slice(round(left * time) + margin, round((left + width) * time) + margin)
    expected = F.interpolate(canvas[:, :, rows, columns], (freq, time), mode="bicubic", align_corners=False)
    inner = (..., slice(5, -5), slice(5, -5))
    assert torch.allclose(cropped[inner], expected[inner], atol=1e-4)


def test_crops_differ_between_clips_and_reach_beyond_the_input():
    torch.manual_seed(0)
    cropped = random_resize_crop(torch.ones(200, 1, 20, 30))
    empty = (cropped == 0).all(2).any(2).flatten()  # a column outside of the input
    assert 0.2 < empty.float().mean() < 0.9
    heights = random_resize_crop(torch.linspace(0, 1, 20)[None, None, :, None].expand(200, 1, 20, 30))[:, 0, :, 15]
    assert (heights[:, -1] - heights[:, 0]).std() > 0.05


def test_masks_are_no_wider_than_said():
    torch.manual_seed(0)
    masked = spec_augment(torch.ones(64, 1, 80, 100), 30, 40) == 0
    bands, stretches = masked.all(3).sum(2), masked.all(2).sum(2)
    assert bands.max() <= 30 and bands.float().std() > 3
    assert stretches.max() <= 40 and stretches.float().std() > 3
    x = torch.ones(2, 1, 80, 100)
    assert spec_augment(x, 0, 0) is x
    assert spec_augment(x, 80, 500).shape == x.shape  # wider than the input


@pytest.mark.parametrize("grid, n_time, ratio", [
    (Grid(5, 38), 38, 0.5), (Grid(5, 38), 25, 0.5), (Grid(1, 52), 52, 0.5), (Grid(5, 4), 1, 0.9)])
def test_patchout_drops_whole_rows_and_columns(grid, n_time, ratio):
    torch.manual_seed(0)
    kept = structured_patchout(grid, n_time, ratio, 16, torch.device("cpu"))
    total = grid.n_freq * n_time
    for clip in kept:
        rows, columns = set((clip // grid.n_time).tolist()), set((clip % grid.n_time).tolist())
        assert len(clip) == len(set(clip.tolist())) == len(rows) * len(columns) and max(columns) < n_time
    assert abs(kept.shape[1] / total - (1 - ratio)) < 0.05 or kept.shape[1] <= max(grid.n_freq, 1)
    if total > 5:
        assert len({tuple(clip.tolist()) for clip in kept}) > 1


def test_the_papers_grid_at_a_half():
    kept = structured_patchout(Grid(5, 38), 38, 0.5, 2, torch.device("cpu"))
    assert kept.shape == (2, 4 * 24)  # 96 of 190
    assert np.isclose(1 - 96 / 190, 0.5, atol=0.01)
