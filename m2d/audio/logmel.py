"""Waveform to log-mel spectrum, with the settings of the published M2D models."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn

LOG_EPS = 1.1920929e-7
"""Added to the mel power before the logarithm: the float32 epsilon."""

SILENCE = -15.942385
"""log(LOG_EPS): the log-mel value of digital silence."""


@dataclass(frozen=True)
class LogMelConfig:
    """Front-end settings: Hz, samples and number of bins. The defaults are those of the published models."""

    sample_rate: int = 16000
    n_fft: int = 400
    win_length: int = 400
    hop_length: int = 160
    n_mels: int = 80
    f_min: float = 50.0
    f_max: float = 8000.0


class LogMel(nn.Module):
    """Natural logarithm of the mel power spectrum of whole clips.

    Periodic Hann window, centred frames with reflected edges, power 2, Slaney mel scale and Slaney norm,
    `log(power + LOG_EPS)`. It has no parameters and nothing of it belongs in a checkpoint.
    """

    def __init__(self, config: LogMelConfig | None = None):
        super().__init__()
        self.config = config = config or LogMelConfig()
        self.mel = torchaudio.transforms.MelSpectrogram(
            sample_rate=config.sample_rate, n_fft=config.n_fft, win_length=config.win_length,
            hop_length=config.hop_length, f_min=config.f_min, f_max=config.f_max, n_mels=config.n_mels,
            power=2.0, center=True, pad_mode="reflect", mel_scale="slaney", norm="slaney")

    def frames(self, samples: int) -> int:
        """Number of frames T of a clip of so many samples: 1 + samples // hop."""
        return 1 + samples // self.config.hop_length

    def forward(self, wav: Tensor) -> Tensor:
        """Log-mel `[..., F, T]` float32 of `wav` `[..., N]` in -1..1 at the configured rate; T = 1 + N // hop.

        A clip of half a window or less, which has too few samples to be reflected, is first extended with zeros.
        """
        samples = wav.shape[-1]
        too_short = self.config.n_fft // 2 + 1 - samples
        if too_short > 0:
            wav = F.pad(wav, (0, too_short))
        with torch.autocast(wav.device.type, enabled=False):  # powers span more than half precision holds
            logmel = (self.mel(wav.float()) + LOG_EPS).log()
        return logmel[..., :self.frames(samples)]
