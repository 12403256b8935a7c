"""A recipe in a place of its own: its scripts are copied, the rest of the repository is linked."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Recipe:
    """egs/NAME under a temporary root, with corpora named by environment variables alone."""

    def __init__(self, name: str, root: Path, environment: dict[str, str]):
        self.directory = root / "egs" / name
        shutil.copytree(ROOT / "egs" / name, self.directory, ignore=shutil.ignore_patterns("data", "dump", "exp"))
        (root / "utils").symlink_to(ROOT / "utils")  # without tools/, path.sh takes the python3 on PATH: this one
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", **environment}

    def run(self, *options: str, script: str = "run.sh", **environment: str) -> subprocess.CompletedProcess:
        """./run.sh, or another script, with the given options; output and errors are one text."""
        return subprocess.run(
            [str(self.directory / script), *options], env={**self.environment, **environment}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1200)

    def run_well(self, *options: str, **environment: str) -> str:
        """The output of a run that must succeed."""
        done = self.run(*options, **environment)
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout


@pytest.fixture(scope="session")
def make_recipe(tmp_path_factory):
    """Factory of recipes; corpora that a machine has configured do not reach the tests."""
    for script in ROOT.glob("egs/*/db.sh"):
        for name in re.findall(r"^([A-Z0-9_]+)=", script.read_text(encoding="utf-8"), re.MULTILINE):
            os.environ.pop(name, None)
    return lambda name, **environment: Recipe(name, tmp_path_factory.mktemp("a clone's place, [ü]"), environment)


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory):
    """Where the recipes make their mini corpus, once for all tests."""
    return tmp_path_factory.mktemp("corpus") / "mini"


def make_tiny_teacher(folder: Path) -> Path:
    """A folder with a random HuBERT of twelve narrow layers, as save_pretrained leaves a real one."""
    import torch
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    torch.manual_seed(0)
    HubertModel(HubertConfig(
        hidden_size=16, num_hidden_layers=12, num_attention_heads=2, intermediate_size=32, conv_dim=(8, 8, 8),
        conv_kernel=(10, 8, 4), conv_stride=(10, 8, 4), num_feat_extract_layers=3, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def rates(tmp_path_factory):
    """A file of a machine's rates for --dry_run, which would measure them for a minute."""
    path = tmp_path_factory.mktemp("rates") / "rates.json"
    path.write_text(json.dumps({"device": "a machine", "load": 0.5, "disk": 500.0, "headers": 5000.0, "decode": 1000.0,
                                "logmel": 4000.0, "teacher": 10.0, "tflops": 0.1}))
    return str(path)


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory):
    """Its folder."""
    return make_tiny_teacher(tmp_path_factory.mktemp("teacher") / "tiny_hubert")
