"""Background noise mixed into log-mel spectra, on any device."""

import torch
from torch import Tensor

from m2d.audio.logmel import LOG_EPS, normalise


def mix_noise(speech: Tensor, noise: Tensor | None, ratio: float, mean_speech: float, std_speech: float,
              mean_noise: float) -> Tensor:
    """Mixture of raw log-mels `speech` and `noise` (equal shapes), normalised, float32 (M2D-S, section 3.3).

    `log(max(ratio * exp(noise - mean_noise) + (1 - ratio) * exp(speech - mean_speech), LOG_EPS)) / std_speech`: each
    set's own scalar mean is subtracted, so that `ratio` weighs powers relative to their sets' means. The result is
    divided by the standard deviation of the speech set and not centred again, as in the published models. `ratio` 1 is
    noise alone; at 0 the noise is ignored and may be None, and the result is `normalise(speech)`.
    """
    if ratio == 0:
        return normalise(speech, mean_speech, std_speech)
    if noise is None:
        raise ValueError(f"noise ratio {ratio} needs noise")
    power = ratio * torch.exp(noise.float() - mean_noise) + (1 - ratio) * torch.exp(speech.float() - mean_speech)
    return power.clamp(min=LOG_EPS).log() / std_speech
