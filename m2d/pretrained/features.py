"""Waveforms to features: what a pre-trained model is used for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
from torch import nn

from m2d.audio.logmel import LogMel, LogMelConfig
from m2d.audio.noise import normalise
from m2d.common.errors import UserError
from m2d.nn.encoder import Encoder

MAX_CHUNKS = 64  # encoded at once: bounds the memory that an hour of audio takes


class FeatureOutput(NamedTuple):
    """Features of B clips. Frames past a clip's own length are zero. W = N_F * D, lowest frequency first."""

    frames: torch.Tensor  # [B, T, W] the last layer, after the final LayerNorm
    lengths: torch.Tensor  # [B] int64: frames of each clip
    clip: torch.Tensor  # [B, W] mean of the frames over each clip's own time
    layers: list[torch.Tensor]  # [B, T, W] each: one per block, the last is `frames`

    @property
    def mask(self) -> torch.Tensor:
        """[B, T] bool: True for a clip's own frames, False for padding."""
        return torch.arange(self.frames.shape[1], device=self.lengths.device) < self.lengths.unsqueeze(1)


class M2DFeatures(nn.Module):
    """A pre-trained encoder behind its front end (M2D, section 4.1; features as MSM-MAE).

    A clip alone and the same clip in a batch with longer ones give the same features (to rounding): the log-mel is made
    clip by clip, and nothing attends to padding. Audio longer than the model's input is cut into chunks of that length,
    each encoded alone with positions from 0, and joined in time; the last chunk is filled to a whole patch with zeros
    after normalisation. Positions are never resized.

    For bfloat16 call it under `torch.autocast`, or convert `features.encoder`: the front end must stay in float32.
    """

    def __init__(self, encoder: Encoder, front_end: LogMelConfig, mean: float, std: float):
        """Args: the encoder, the log-mel it was trained on, and that log-mel's scalar mean and deviation."""
        super().__init__()
        config = encoder.config
        if config.in_channels != 1 or config.input_size[0] != front_end.n_mels:
            raise UserError(f"the encoder takes {config.in_channels} channels of {config.input_size[0]} bins, "
                            f"the front end gives one of {front_end.n_mels}")
        self.encoder = encoder
        self.logmel = LogMel(front_end)
        self.set_statistics(mean, std)

    @property
    def dim(self) -> int:
        """W = N_F * D: 3,840 for ViT-Base 16x16, 768 for 80xN."""
        return self.encoder.config.grid.n_freq * self.encoder.config.width

    @property
    def n_layers(self) -> int:
        """Number of layers in the output, one per block."""
        return self.encoder.config.depth

    @property
    def samples_per_frame(self) -> int:
        """Samples, at the model's rate, that one frame stands for."""
        return self.logmel.config.hop_length * self.encoder.config.patch_size[1]

    def set_statistics(self, mean: float, std: float) -> None:
        """Normalise log-mels by these from now on, for example by a downstream task's own."""
        if not math.isfinite(mean) or not 0 < std < math.inf:
            raise UserError(f"mean {mean}, standard deviation {std}: must be finite, the deviation positive")
        self.mean, self.std = float(mean), float(std)

    def randomise(self, seed: int) -> None:
        """Replace the weights by freshly drawn ones: the floor that pre-training is compared with."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder.load_state_dict(Encoder(self.encoder.config).state_dict())

    def compile(self, **options: Any) -> None:
        """`torch.compile` each block, with these options; the code around them stays plain."""
        for block in self.encoder.transformer.blocks:
            block.compile(**options)

    def forward(
        self,
        wavs: torch.Tensor | np.ndarray | Sequence[torch.Tensor | np.ndarray],
        lengths: torch.Tensor | np.ndarray | Sequence[int] | None = None,
        sampling_rate: int = 16000,
        all_layers: bool = True,
    ) -> FeatureOutput:
        """Features of clips of any length.

        Args:
            wavs: [B, N] padded, or B clips [N_i]; floating point in -1..1; taken to the model's device.
            lengths: [B] samples of each clip, for padded wavs; None: all of them.
            sampling_rate: of the wavs, Hz; resampled where it is not the model's.
            all_layers: False keeps `layers` to the last one, for less memory.

        A clip of N_i samples at the model's rate has ceil((1 + N_i // hop) / patch frames) frames. Raises ValueError
        for an empty batch or clip, samples that are not floating point, lengths that do not fit.
        """
        clips = _clips([torch.as_tensor(wav, device=self.logmel.window.device) for wav in wavs], lengths)
        if sampling_rate != self.logmel.config.sample_rate:
            rate = self.logmel.config.sample_rate
            clips = [torchaudio.functional.resample(clip, sampling_rate, rate) for clip in clips]
        return self.encode([normalise(self.logmel(clip), self.mean, self.std) for clip in clips], all_layers)

    def encode(self, logmels: Sequence[torch.Tensor], all_layers: bool = True) -> FeatureOutput:
        """As `forward`, from normalised log-mels [F, T_i] of any lengths."""
        patch_frames = self.encoder.config.patch_size[1]
        chunk_frames = self.encoder.config.grid.n_time * patch_frames
        chunks, counts = [], []
        for logmel in logmels:
            pieces = [F.pad(piece, (0, -piece.shape[1] % patch_frames)) for piece in logmel.split(chunk_frames, dim=1)]
            chunks += pieces
            counts.append(len(pieces))
        pieces = iter(self._encode_chunks(chunks, all_layers))
        clips = [torch.cat([next(pieces) for _ in range(count)], dim=1) for count in counts]  # [layers, T_i, W]
        lengths = torch.tensor([clip.shape[1] for clip in clips])
        longest = int(lengths.max())
        layers = list(torch.stack([F.pad(clip, (0, 0, 0, longest - clip.shape[1])) for clip in clips], dim=1))
        lengths = lengths.to(layers[-1].device)
        return FeatureOutput(layers[-1], lengths, layers[-1].sum(dim=1) / lengths.unsqueeze(1), layers)

    def _encode_chunks(self, chunks: list[torch.Tensor], all_layers: bool) -> list[torch.Tensor]:
        """Chunks [F, T_i] of whole patches -> [layers, N_T_i, W] each; those of like length are encoded together."""
        patch_frames = self.encoder.config.patch_size[1]
        order = sorted(range(len(chunks)), key=lambda i: chunks[i].shape[1])
        outputs: list[torch.Tensor] = [None] * len(chunks)
        for start in range(0, len(order), MAX_CHUNKS):
            part = order[start:start + MAX_CHUNKS]
            columns = [chunks[i].shape[1] // patch_frames for i in part]
            width = columns[-1] * patch_frames
            x = torch.stack([F.pad(chunks[i], (0, width - chunks[i].shape[1])) for i in part]).unsqueeze(1)
            valid = None if columns[0] == columns[-1] else torch.tensor(columns, device=x.device)
            layers = self.encoder.layers(x.to(self.encoder.cls_token.dtype), valid)  # of [b, N_F, N_T, D]
            kept = layers if all_layers else layers[-1:]
            hidden = torch.stack([layer.transpose(1, 2).flatten(2) for layer in kept], dim=1).float()
            for row, (i, n_time) in enumerate(zip(part, columns, strict=True)):
                outputs[i] = hidden[row, :, :n_time]
        return outputs


def _clips(
    clips: list[torch.Tensor], lengths: torch.Tensor | np.ndarray | Sequence[int] | None
) -> list[torch.Tensor]:
    """The single clips [N_i] of a batch."""
    if not clips:
        raise ValueError("no clips")
    for clip in clips:
        if clip.ndim != 1 or not clip.is_floating_point():
            raise ValueError(f"a clip is {list(clip.shape)} {clip.dtype}: expected [N], floating point in -1..1 "
                             "(a batch is [B, N])")
    if lengths is not None:
        ends = torch.as_tensor(lengths)
        if ends.shape != (len(clips),) or ends.is_floating_point():
            raise ValueError(f"lengths are {list(ends.shape)} {ends.dtype}: expected a number of samples for each of "
                             f"{len(clips)} clips")
        for clip, end in zip(clips, ends.tolist(), strict=True):
            if not 0 < end <= len(clip):
                raise ValueError(f"length {end} of a clip that has {len(clip)} samples")
        clips = [clip[:end] for clip, end in zip(clips, ends.tolist(), strict=True)]
    if not all(len(clip) for clip in clips):
        raise ValueError("a clip without samples")
    return clips
