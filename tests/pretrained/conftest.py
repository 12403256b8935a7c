"""Published checkpoints made of the golden vectors' weights."""

import pytest
import torch

FILES = {"m2d": "c_m2d_tiny_80x608_p16x16",
         "m2ds": "d_m2ds_tiny_80x208_p80x4", "encoder": "g_encode_tiny_80x608_p16x16"}


@pytest.fixture
def vectors(golden):
    """The golden vector of a kind of checkpoint: m2d, m2ds or encoder."""
    return lambda kind: golden(FILES[kind])


@pytest.fixture
def published(vectors, tmp_path):
    """Maker of a published checkpoint file from a golden vector's weights; `change` edits the state dict first."""
    def make(kind, change=None, **beside):
        arrays, _ = vectors(kind)
        state = {name[3:]: value.clone() for name, value in arrays.items() if name.startswith("sd.")}
        if change is not None:
            change(state)
        path = tmp_path / "checkpoint-300.pth"
        torch.save({"model": state, **beside}, path)
        return path
    return make
