"""What tests of several rooms need: the golden vectors, and one thread per test process."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).parent / "data" / "golden"


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
