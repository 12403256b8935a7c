"""X-ARES: its check of an encoder, and its whole command on a task of sounds made here."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from m2d import load_pretrained, save_pretrained
from m2d.audio.logmel import LogMelConfig
from m2d.common.errors import UserError
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.pretrained.features import M2DFeatures
from m2d.xares import M2DEncoder

TASK = """
from xares.task import TaskConfig

def tones_config(encoder):
    return TaskConfig(
        encoder=encoder, name="tones", private=True, output_dim=3, eval_weight=1, epochs=30, learning_rate=0.03,
        env_root="{root}", label_processor=lambda label: int(label["label"]), num_encoder_workers=0,
        torch_num_threads=1)
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model")
    encoder = Encoder(EncoderConfig((80, 96), (80, 4), 1, 32, 2, 4))
    save_pretrained(M2DFeatures(encoder, LogMelConfig(), -7.1, 4.2), path)
    return path


@pytest.fixture
def task(tmp_path):
    """Tones of three pitches in noise, 12 clips a class to train on, 4 to validate, 4 to test."""
    from xares.audiowebdataset import write_audio_tar

    random = np.random.default_rng(0)
    (tmp_path / "tones").mkdir()
    for part, count in (("train", 36), ("valid", 12), ("test", 12)):
        paths = []
        for i in range(count):
            tone = np.sin(2 * np.pi * (300, 900, 2700)[i % 3] * np.arange(16000) / 16000 + random.uniform(0, 6))
            paths.append(str(tmp_path / f"{part}{i}.wav"))
            soundfile.write(paths[-1], 0.2 * tone + 0.1 * random.standard_normal(16000), 16000)
        write_audio_tar(paths, [str(i % 3) for i in range(count)], f"{tmp_path}/tones/{part}-*.tar", num_shards=1)
    (tmp_path / "tones" / ".audio_tar_ready").touch()
    (tmp_path / "tones_task.py").write_text(TASK.format(root=tmp_path))
    return tmp_path


def test_the_check_accepts_it(directory, monkeypatch):
    from xares.audio_encoder_checker import check_audio_encoder

    monkeypatch.setenv("M2D_MODEL", str(directory))
    encoder = M2DEncoder()
    assert check_audio_encoder(encoder)
    assert (encoder.sampling_rate, encoder.output_dim, encoder.hop_size_in_ms) == (16000, 32, 40.0)
    wav = 0.1 * torch.randn(20000, generator=torch.Generator().manual_seed(1))
    assert torch.equal(encoder(wav), load_pretrained(directory)([wav]).frames)


def test_a_task_by_its_command(directory, task):
    done = subprocess.run(
        [sys.executable, "-m", "xares.run", "m2d/xares.py", "tones_task.py", "--max-jobs", "0"], cwd=task,
        env={**os.environ, "M2D_MODEL": str(directory), "PYTHONPATH": str(task)}, capture_output=True, text=True)
    (scores,) = (line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["tones"])
    assert float(scores[1]) > 0.9 and float(scores[2]) > 0.9, done.stdout[-2000:]  # linear, kNN


def test_no_model_is_one_line(monkeypatch):
    monkeypatch.delenv("M2D_MODEL", raising=False)
    with pytest.raises(UserError, match="M2D_MODEL is not set"):
        M2DEncoder()
