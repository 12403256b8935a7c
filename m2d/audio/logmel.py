"""Waveform to log-mel spectrum, with the settings of the published M2D models."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2d.common.errors import UserError

LOG_EPS = 1.1920929e-7
"""Added to the mel power before the logarithm: the float32 epsilon."""

SILENCE = -15.942385
"""log(LOG_EPS): the log-mel value of digital silence."""


def block_size(device: torch.device) -> int:
    """Frames transformed at a time: on a CPU few, which stay in its cache; elsewhere many (about 400 MB), for speed."""
    return 256 if device.type == "cpu" else 1 << 16


@dataclass(frozen=True)
class LogMelConfig:
    """Front end in Hz, samples, bins; the published models' by default. `UserError` for a contradiction."""

    sample_rate: int = 16000
    n_fft: int = 400
    win_length: int = 400
    hop_length: int = 160
    n_mels: int = 80
    f_min: float = 50.0
    f_max: float = 8000.0

    def __post_init__(self) -> None:
        counts = (self.sample_rate, self.n_fft, self.win_length, self.hop_length, self.n_mels)
        if min(counts) < 1 or self.win_length > self.n_fft or not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise UserError(f"no log-mel can be made with {self}")


def normalise(x: Tensor, mean: float, std: float) -> Tensor:
    """Raw log-mel `x` of any shape to `(x - mean) / std` in float32."""
    return (x.float() - mean) / std


def mel_filters(config: LogMelConfig) -> Tensor:
    """Triangles on Slaney's mel scale, each of area 1 in Hz, `[n_fft // 2 + 1, n_mels]`.

    The scale (Auditory Toolbox, Slaney 1998) is linear to 1000 Hz, 3 mel per 200 Hz, then logarithmic with 27 mel per
    factor 6.4. Computed in float32 as torchaudio does, whose rounding the published models have seen.
    """
    step = math.log(6.4) / 27

    def mel(hertz: float) -> float:
        return hertz / (200 / 3) if hertz < 1000 else 15 + math.log(hertz / 1000) / step

    mels = torch.linspace(mel(config.f_min), mel(config.f_max), config.n_mels + 2)
    edges = torch.where(mels < 15, mels * (200 / 3), 1000 * torch.exp(step * (mels - 15)))
    away = edges - torch.linspace(0, config.sample_rate // 2, config.n_fft // 2 + 1)[:, None]
    rising, falling = -away[:, :-2] / (edges[1:-1] - edges[:-2]), away[:, 2:] / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0) * (2 / (edges[2:] - edges[:-2]))


class LogMel(nn.Module):
    """Natural logarithm of the mel power spectrum of whole clips.

    Periodic Hann window, centred frames with reflected edges, power 2, Slaney mel scale and Slaney norm,
    `log(power + LOG_EPS)`. Its tables are neither parameters nor buffers: no checkpoint holds them, and `half()` on a
    model leaves them in float32.
    """

    def __init__(self, config: LogMelConfig | None = None):
        super().__init__()
        self.config = config = config or LogMelConfig()
        window = torch.hann_window(config.win_length)
        outside = config.n_fft - config.win_length  # a window shorter than the transform is centred in it
        self.window = F.pad(window, (outside // 2, outside - outside // 2))
        self.mel = mel_filters(config)

    def frames(self, samples: int) -> int:
        """Number of frames T of a clip of so many samples: 1 + samples // hop."""
        return 1 + samples // self.config.hop_length

    def forward(self, wav: Tensor) -> Tensor:
        """Log-mel `[..., F, T]` float32 of `wav` `[..., N]` in -1..1 at the configured rate; T = 1 + N // hop.

        A clip of half a window or less is too short to be reflected and is first padded with zeros.
        """
        logmel = self._log_mel(self._frames(wav.reshape(wav.shape[:-1].numel(), wav.shape[-1])))
        return logmel.mT.reshape(*wav.shape[:-1], self.config.n_mels, -1)

    def clips(self, wavs: Sequence[Tensor]) -> list[Tensor]:
        """Log-mels `[F, T_i]` of clips `[N_i]` of any lengths on one device, transformed block by block."""
        logmels, waiting = [], []
        for wav in wavs:
            waiting.append(self._frames(wav[None]))
            counts = [frames.shape[1] for frames in waiting]
            if sum(counts) >= block_size(wav.device) or len(logmels) + len(waiting) == len(wavs):
                rows = self._log_mel(torch.cat(waiting, dim=1) if len(waiting) > 1 else waiting[0])[0]
                logmels += [clip.T for clip in rows.split(counts)]
                waiting = []
        return logmels

    def _frames(self, clips: Tensor) -> Tensor:
        """Clips `[B, N]` to overlapping frames of samples, a view `[B, T, n_fft]`."""
        half, samples = self.config.n_fft // 2, clips.shape[1]
        clips = F.pad(clips.float(), (0, max(0, half + 1 - samples)))
        clips = F.pad(clips, (half, half), mode="reflect")
        return clips.unfold(1, self.config.n_fft, self.config.hop_length)[:, :self.frames(samples)]

    def _log_mel(self, frames: Tensor) -> Tensor:
        """Frames of samples `[B, T, n_fft]` to log-mel `[B, T, F]`."""
        if self.window.device != frames.device:
            self.window, self.mel = self.window.to(frames.device), self.mel.to(frames.device)
        columns = max(1, block_size(frames.device) // len(frames))
        with torch.autocast(frames.device.type, enabled=False):  # powers exceed the range of half precision
            return torch.cat([self._block(block) for block in frames.split(columns, dim=1)], dim=1)

    def _block(self, frames: Tensor) -> Tensor:
        """A block of `_log_mel`."""
        spectrum = torch.view_as_real(torch.fft.rfft(frames * self.window))
        power = spectrum * spectrum
        return ((power[..., 0] + power[..., 1]) @ self.mel + LOG_EPS).log()
