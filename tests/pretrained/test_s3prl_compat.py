"""What s3prl lacks on the installed libraries is supplied, and nothing else is touched."""

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from m2d.common.errors import UserError
from m2d.pretrained import s3prl_compat


@pytest.fixture
def wav(tmp_path):
    samples = (0.1 * np.random.default_rng(0).standard_normal((8000, 2))).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    return tmp_path / "a.wav", samples


def test_only_what_is_missing_is_supplied(monkeypatch):
    there = object()
    monkeypatch.setattr(torchaudio, "set_audio_backend", there, raising=False)
    monkeypatch.setattr(torchaudio, "info", there, raising=False)
    load = torchaudio.load
    s3prl_compat.before_s3prl()
    assert torchaudio.set_audio_backend is there and torchaudio.info is there and torchaudio.load is load


def test_a_torchaudio_without_its_readers_reads_by_soundfile(monkeypatch, wav):
    path, samples = wav
    for name in ("set_audio_backend", "info"):
        monkeypatch.delattr(torchaudio, name, raising=False)
    monkeypatch.setattr(torchaudio, "load", torchaudio.load)
    monkeypatch.setattr(s3prl_compat.importlib.util, "find_spec", lambda name: None)
    s3prl_compat.before_s3prl()
    s3prl_compat.before_s3prl()
    torchaudio.set_audio_backend("sox_io")
    loaded, rate = torchaudio.load(str(path))
    assert rate == 16000 and np.array_equal(loaded.numpy(), samples.T)
    part, _ = torchaudio.load(str(path), frame_offset=100, num_frames=50)
    assert np.array_equal(part.numpy(), samples.T[:, 100:150])
    found = torchaudio.info(str(path))
    assert (found.sample_rate, found.num_frames, found.num_channels) == (16000, 8000, 2)


def test_keyword_spottings_sox_chain_is_mono_and_3_db_down(wav):
    path, samples = wav
    done, rate = s3prl_compat._apply_effects_file(str(path), s3prl_compat.KS_EFFECTS)
    assert rate == 16000 and done.shape == (1, 8000)
    assert np.allclose(done[0].numpy(), samples.mean(1) * 10 ** (-3 / 20), atol=1e-7)
    with pytest.raises(UserError, match="needs libsox"):
        s3prl_compat._apply_effects_file(str(path), [["rate", "8000"]])


def test_checkpoints_with_options_can_be_read(tmp_path):
    import argparse

    s3prl_compat.before_s3prl()
    torch.save({"Args": argparse.Namespace(seed=1)}, tmp_path / "a.ckpt")
    assert torch.load(tmp_path / "a.ckpt", weights_only=True)["Args"].seed == 1
