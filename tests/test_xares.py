"""X-ARES: its check of an encoder, and its whole command on the mini corpus's ESC-50."""

import csv
import os
import subprocess
import sys

import pytest
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

def mini_esc50_config(encoder):
    return TaskConfig(
        encoder=encoder, name="mini_esc50", private=True, output_dim=20, eval_weight=1, epochs=20, learning_rate=0.03,
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
    """100 clips of 20 classes: folds 1 to 3 to train on, fold 4 to validate, fold 5 to test."""
    from mini_corpus.corpus import make_corpus
    from xares.audiowebdataset import write_audio_tar

    make_corpus(tmp_path / "mini", ["esc50"], 0.1, 1)
    root = tmp_path / "mini" / "ESC-50"
    with open(root / "meta" / "esc50.csv", newline="", encoding="utf-8") as table:
        clips = list(csv.DictReader(table))
    (tmp_path / "mini_esc50").mkdir()
    for part, folds in (("train", "123"), ("valid", "4"), ("test", "5")):
        chosen = [clip for clip in clips if clip["fold"] in folds]
        write_audio_tar([str(root / "audio" / clip["filename"]) for clip in chosen],
                        [clip["target"] for clip in chosen], f"{tmp_path}/mini_esc50/{part}-*.tar", num_shards=1)
    (tmp_path / "mini_esc50" / ".audio_tar_ready").touch()
    (tmp_path / "esc50_task.py").write_text(TASK.format(root=tmp_path))
    return tmp_path


def test_the_check_accepts_it(directory, monkeypatch, capfd):
    from xares.audio_encoder_checker import check_audio_encoder

    monkeypatch.setenv("M2D_MODEL", str(directory))
    encoder = M2DEncoder()
    assert check_audio_encoder(encoder) and "ERROR" not in capfd.readouterr().err  # it logs what it finds wrong
    assert (encoder.sampling_rate, encoder.output_dim, encoder.hop_size_in_ms) == (16000, 32, 40.0)
    wav = 0.1 * torch.randn(20000, generator=torch.Generator().manual_seed(1))
    assert torch.equal(encoder(wav), load_pretrained(directory)([wav]).frames)


def test_a_task_by_its_command(directory, task):
    """Random weights, better than chance, 1 in 20."""
    done = subprocess.run(
        [sys.executable, "-m", "xares.run", "m2d/xares.py", "esc50_task.py", "--max-jobs", "0"], cwd=task,
        env={**os.environ, "M2D_MODEL": str(directory), "PYTHONPATH": str(task)}, capture_output=True, text=True)
    scores = next((line.split() for line in done.stdout.splitlines() if line.startswith("mini_esc50")), None)
    assert scores is not None, done.stdout + done.stderr
    assert min(float(scores[1]), float(scores[2])) >= 0.2, scores  # linear, kNN


def test_no_model_is_one_line(monkeypatch):
    monkeypatch.delenv("M2D_MODEL", raising=False)
    with pytest.raises(UserError, match="M2D_MODEL is not set"):
        M2DEncoder()
