"""Warm-up and cosine."""

import pytest

from m2d.common.schedules import warmup_cosine


def test_linear_warm_up_then_half_a_cosine():
    assert [warmup_cosine(epoch, 5, 205) for epoch in (0, 2.5, 5, 105, 205)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert warmup_cosine(0, 0, 10) == 1
