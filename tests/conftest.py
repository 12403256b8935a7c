"""What tests of several rooms need: the golden vectors, and one thread per test process."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).parent / "data" / "golden"
LONG = ("egs", "slurm", "superb")
"""Folders of the longest tests."""


def pytest_collection_modifyitems(items):
    """Begin with the longest tests."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def golden():
    """Reader of a golden vector: name -> (arrays as tensors, its JSON)."""
    def read(name):
        with np.load(GOLDEN / f"{name}.npz") as arrays:
            tensors = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
        return tensors, json.loads((GOLDEN / f"{name}.json").read_text())
    return read


@pytest.fixture(scope="session")
def model_directory(tmp_path_factory):
    """A tiny model of ours: 80x64 input, 16x16 patches, 16 wide."""
    from m2d import save_pretrained
    from m2d.audio.logmel import LogMelConfig
    from m2d.nn.encoder import Encoder
    from m2d.nn.encoder_config import EncoderConfig
    from m2d.pretrained.features import M2DFeatures

    torch.manual_seed(99)
    directory = tmp_path_factory.mktemp("model")
    encoder = Encoder(EncoderConfig((80, 64), (16, 16), 1, 16, 2, 2))
    save_pretrained(M2DFeatures(encoder, LogMelConfig(), -7.0, 4.0), directory)
    return directory
