"""Rooms, microphones and background noise between a source and the file."""

from dataclasses import dataclass

import numpy as np
from scipy.fft import next_fast_len

from mini_corpus.dsp import SAMPLE_RATE, generator, log_uniform, pink_noise, unit_peak, unit_rms
from mini_corpus.sounds import SOUNDS

Range = tuple[float, float]


@dataclass(frozen=True)
class Recording:
    """How speech is recorded. The session's name fixes room, microphone and kind of noise; the rest varies by file.

    `snr` and `tilt` are ranges in dB (the tilt from 0 Hz to 8 kHz), `margin` is a range of seconds of room noise before
    and after, `gain` a range of factors on the level. `colour` is the deviation in dB of the session's frequency
    response from flat.
    """

    session: str
    snr: Range
    tilt: Range = (0.0, 0.0)
    margin: Range = (0.0, 0.0)
    gain: Range = (0.6, 1.6)
    colour: float = 0.0


def impulse_response(rng: np.random.Generator, seconds: float, wet: float) -> np.ndarray:
    """Decaying noise of energy `wet`^2 after a direct path of 1 at sample 0, so that there is no delay."""
    n = max(1, int(seconds * SAMPLE_RATE))
    response = rng.standard_normal(n) * np.exp(-np.arange(n) / n * 6.9)
    response *= wet / (np.sqrt(np.sum(response**2)) + 1e-9)
    response[0] = 1
    return response


def transmit(x: np.ndarray, response: np.ndarray, tilt: float) -> np.ndarray:
    """Convolve with a room and tilt the spectrum by `tilt` dB from its lower to its upper end, length kept."""
    size = next_fast_len(len(x) + len(response), real=True)
    spectrum = np.fft.rfft(x, size) * np.fft.rfft(response, size)
    spectrum *= 10 ** (tilt * np.linspace(-0.3, 0.7, len(spectrum)) / 20)
    return np.fft.irfft(spectrum, size)[: len(x)]


def colour(x: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Filter with a frequency response through `gains` (dB) at points spread over 100 Hz to 8 kHz in equal ratios."""
    size = next_fast_len(len(x), real=True)
    frequency = np.linspace(1, SAMPLE_RATE / 2, size // 2 + 1)
    curve = np.interp(np.log(frequency), np.linspace(np.log(100), np.log(8000), len(gains)), gains)
    return np.fft.irfft(np.fft.rfft(x, size) * 10 ** (curve / 20), size)[: len(x)]


def record_speech(x: np.ndarray, how: Recording, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Speech recorded by a session's microphone: the file `[N]`, and the seconds before the speech starts in it."""
    place = generator("room", how.session)
    response = impulse_response(place, log_uniform(place, 0.02, 0.35), place.uniform(0.02, 0.45))
    microphone_tilt = place.uniform(-6, 6)
    noise_kind = None if place.random() < 0.4 else list(SOUNDS)[place.integers(len(SOUNDS))]

    before, after = (int(SAMPLE_RATE * rng.uniform(*how.margin)) for _ in range(2))
    y = transmit(np.pad(x, (before, after)), response, microphone_tilt + rng.uniform(*how.tilt))
    if how.colour:
        y = colour(y, how.colour * place.standard_normal(16))
    y = 0.06 * unit_rms(y)
    noise = pink_noise(rng, len(y)) if noise_kind is None else SOUNDS[noise_kind](rng, len(y))
    y += 0.06 * unit_rms(noise) * 10 ** (-rng.uniform(*how.snr) / 20)
    y *= log_uniform(rng, *how.gain)
    return np.clip(y, -1, 1).astype(np.float32), before / SAMPLE_RATE


def record_scene(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sound scene with its own room, tilt, background and level, `[N]` -> `[N]`."""
    response = impulse_response(rng, log_uniform(rng, 0.03, 0.8), rng.uniform(0.05, 0.6))
    y = unit_rms(transmit(x, response, rng.uniform(-12, 12)))
    y += unit_rms(pink_noise(rng, len(y))) * 10 ** (-rng.uniform(0, 25) / 20)
    return (unit_peak(y) * log_uniform(rng, 0.15, 0.9)).astype(np.float32)


def record_music(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Music or a note with a little room, little noise and a random level, `[N]` -> `[N]`."""
    y = transmit(x, impulse_response(rng, log_uniform(rng, 0.05, 0.4), rng.uniform(0, 0.4)), 0.0)
    y = unit_peak(y) * log_uniform(rng, 0.2, 0.9)
    return (y + rng.standard_normal(len(y)) * 10 ** (-rng.uniform(45, 65) / 20)).astype(np.float32)
