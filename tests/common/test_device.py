"""Devices by name."""

import pytest
import torch

from m2d.common.device import pick_device
from m2d.common.errors import UserError


def test_jobs_take_the_gpus_in_turn(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert [str(pick_device("auto", job)) for job in range(4)] == ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert str(pick_device("auto", 2)) == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:77", "cpu:x"])
def test_what_is_not_to_be_had_is_refused(name):
    with pytest.raises(UserError, match=f"device={name}: not available here"):
        pick_device(name)
