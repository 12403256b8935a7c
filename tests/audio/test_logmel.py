"""The front end against the published models' features (golden vector a) and its edges."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchaudio

from m2d.audio.logmel import LOG_EPS, SILENCE, LogMel, LogMelConfig

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "a_logmel.npz"


@pytest.fixture(scope="module")
def logmel():
    torch.set_num_threads(1)
    return LogMel()


@pytest.mark.parametrize("name", ["chirp", "noise", "speech"])
def test_golden_features_of_the_published_models(logmel, name):
    golden = np.load(GOLDEN)
    ours = logmel(torch.from_numpy(golden[f"wav_{name}"])).numpy()
    difference = np.abs(ours - golden[f"lms_{name}"])
    assert ours.shape == (80, 201)
    assert difference.max() < 5e-4 and difference.mean() < 2e-5


def test_silence_and_eps(logmel):
    assert torch.allclose(logmel(torch.zeros(16000)), torch.tensor(SILENCE))
    assert np.log(np.float32(LOG_EPS)) == pytest.approx(SILENCE)


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 200, 201, 399, 400, 16000, 16001])
def test_number_of_frames(logmel, samples):
    features = logmel(torch.full((samples,), 0.1))
    assert features.shape == (80, 1 + samples // 160) == (80, logmel.frames(samples))
    assert torch.isfinite(features).all()


def test_batch_equals_single_clips(logmel):
    wavs = torch.randn(3, 2, 8000, generator=torch.Generator().manual_seed(0))
    batch = logmel(wavs)
    assert batch.shape == (3, 2, 80, 51)
    assert torch.allclose(batch[1, 0], logmel(wavs[1, 0]), atol=1e-4)


@pytest.mark.parametrize("size", [1, 40, 10**6])
def test_clips_of_any_lengths_together_equal_each_alone(logmel, monkeypatch, size):
    """Whatever the number of frames that are transformed at a time."""
    wavs = [torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in (1, 8000, 160, 30001, 401)]
    alone = [logmel(wav) for wav in wavs]
    monkeypatch.setattr("m2d.audio.logmel.block_size", lambda device: size)
    for together, expected in zip(logmel.clips(wavs), alone, strict=True):
        torch.testing.assert_close(together, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("config", [
    LogMelConfig(), LogMelConfig(32000, 800, 800, 320, f_max=16000.0), LogMelConfig(n_fft=512, n_mels=128, f_min=0.0)])
def test_mel_filters_are_torchaudios_to_the_bit(config):
    assert torch.equal(LogMel(config).mel, torchaudio.functional.melscale_fbanks(
        config.n_fft // 2 + 1, config.f_min, config.f_max, config.n_mels, config.sample_rate, "slaney", "slaney"))


@pytest.mark.parametrize("seconds", [0.3, 5.12, 11.0])
def test_equals_torchaudio_over_block_borders(logmel, seconds):
    reference = torchaudio.transforms.MelSpectrogram(
        sample_rate=16000, n_fft=400, win_length=400, hop_length=160, f_min=50.0, f_max=8000.0, n_mels=80, power=2.0,
        center=True, pad_mode="reflect", mel_scale="slaney", norm="slaney")
    wav = torch.randn(round(16000 * seconds), generator=torch.Generator().manual_seed(0)) * 0.1
    assert torch.allclose(logmel(wav), (reference(wav) + LOG_EPS).log(), atol=1e-5)


def test_window_shorter_than_the_transform_as_in_torchaudio():
    config = LogMelConfig(n_fft=512, win_length=400, n_mels=64)
    reference = torchaudio.transforms.MelSpectrogram(
        sample_rate=16000, n_fft=512, win_length=400, hop_length=160, f_min=50.0, f_max=8000.0, n_mels=64,
        mel_scale="slaney", norm="slaney")
    wav = torch.randn(8000, generator=torch.Generator().manual_seed(0)) * 0.1
    assert torch.allclose(LogMel(config)(wav), (reference(wav) + LOG_EPS).log(), atol=1e-5)


def test_float32_under_autocast(logmel):
    wav = torch.randn(8000, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(logmel(wav), logmel(wav).float())
    assert torch.equal(logmel(wav.double()), logmel(wav))


def test_nothing_for_a_checkpoint_and_config_is_used():
    module = LogMel(LogMelConfig(n_mels=40, hop_length=200))
    assert not module.state_dict() and not list(module.parameters())
    assert module(torch.zeros(16000)).shape == (40, 81)
