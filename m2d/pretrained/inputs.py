"""Batches of waveforms as users give them: checked, cut to their lengths, brought to a device."""

from collections.abc import Sequence

import numpy as np
import torch

Waves = torch.Tensor | np.ndarray | Sequence[torch.Tensor | np.ndarray]
Lengths = torch.Tensor | np.ndarray | Sequence[int]

MAX_CHANNELS = 8
LOUDEST = 100.0
"""Samples are in -1..1, standardised ones near 10 at most: whatever is louder has another scale."""


def single_clips(wavs: Waves, lengths: Lengths | None, device: torch.device) -> list[torch.Tensor]:
    """The clips `[N_i]` of a padded batch `[B, N]` with `lengths` `[B]`, or of a sequence of clips, on `device`.

    Raises ValueError for what can't be audio, naming the likely mistake: no clips or samples, channels, integers,
    another scale, values that are not finite, lengths that don't fit.
    """
    if isinstance(wavs, (torch.Tensor, np.ndarray)):
        if wavs.ndim != 2:
            raise ValueError(f"the batch is {list(wavs.shape)}: expected [B, N]; one clip [N] goes in a list, [wav]")
        if wavs.shape[1] <= MAX_CHANNELS < wavs.shape[0]:
            raise ValueError(f"the batch is {list(wavs.shape)}, clips of {wavs.shape[1]} samples: this looks like one "
                             "clip with channels, [N, channels] as soundfile reads it: give [wav.mean(axis=1)]")
    clips = [torch.as_tensor(wav, device=device) for wav in wavs]
    if not clips:
        raise ValueError("no clips")
    for clip in clips:
        if clip.ndim != 1 or not clip.is_floating_point():
            raise ValueError(f"a clip is {list(clip.shape)} {clip.dtype}: expected [N], floating point in -1..1 "
                             "(mean over channels; integers divided by their largest value; a batch is [B, N])")
    if lengths is not None:
        clips = _cut(clips, torch.as_tensor(lengths))
    if not all(len(clip) for clip in clips):
        raise ValueError("a clip without samples")
    loudest = torch.stack([clip.detach().abs().amax().double() for clip in clips]).amax().item()
    if not loudest <= LOUDEST:  # nor not a number
        raise ValueError(f"a clip has samples of {loudest:g}: expected finite numbers in -1..1 (16-bit samples are "
                         "divided by 32768)")
    return clips


def _cut(clips: list[torch.Tensor], lengths: torch.Tensor) -> list[torch.Tensor]:
    if lengths.shape != (len(clips),) or lengths.is_floating_point():
        raise ValueError(f"lengths are {list(lengths.shape)} {lengths.dtype}: expected a number of samples for each of "
                         f"{len(clips)} clips")
    for clip, end in zip(clips, lengths.tolist(), strict=True):
        if not 0 < end <= len(clip):
            raise ValueError(f"length {end} of a clip that has {len(clip)} samples")
    return [clip[:end] for clip, end in zip(clips, lengths.tolist(), strict=True)]
