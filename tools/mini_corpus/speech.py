"""Speech of a speaker in a style: waveform at 16 kHz, and phone times if the engine has them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import soxr

from mini_corpus import espeak, nanotts
from mini_corpus.dsp import SAMPLE_RATE, unit_rms
from mini_corpus.phones import timed_phones
from mini_corpus.prosody import NEUTRAL, Style, ssml
from mini_corpus.speakers import Voice

_SILENT = 1e-3  # amplitude below which the engines' margins are cut
_MARGIN = (0.05, 0.10)  # seconds kept before and after


@dataclass(frozen=True)
class Spoken:
    """`wave` [N] of unit power; `phones` as (start, duration, ARPAbet with stress) in seconds, None where unknown."""

    wave: np.ndarray
    phones: list[tuple[float, float, str]] | None


@lru_cache(maxsize=1)
def espeak_engine() -> espeak.Espeak:
    """The process's espeak-ng."""
    return espeak.Espeak()


@lru_cache(maxsize=1)
def _pico_engine() -> nanotts.Pico:
    return nanotts.Pico()


def speak(voice: Voice, text: str, rng: np.random.Generator, style: Style = NEUTRAL, timed: bool = False) -> Spoken:
    """The text in that voice and style, with a little variation of pitch, rate and range from take to take.

    Pico knows only the rate and the mean pitch of a style. `timed` asks for phones (English espeak voices only).
    """
    pitch_jitter, rate_jitter, range_jitter = rng.standard_normal(3)
    if voice.engine == "pico":
        factor = style.rate * (1 + 0.05 * rate_jitter) / voice.tract
        pitch = voice.pitch * 2 ** (style.pitch / 40) * (1 + 0.03 * pitch_jitter) / voice.tract
        wave = _pico_engine().say(text, voice.name, factor, pitch)
        return Spoken(_trim(soxr.resample(wave, nanotts.SAMPLE_RATE * voice.tract, SAMPLE_RATE))[0], None)
    expressive = style is not NEUTRAL
    wave, events = espeak_engine().say(
        ssml(text, style, rng) if expressive else text,
        f"{voice.accent}+{voice.name}",
        rate=np.clip(voice.rate * style.rate * (1 + 0.05 * rate_jitter), 90, 300),
        pitch=np.clip(voice.pitch + style.pitch + 4 * pitch_jitter, 0, 99),
        pitch_range=np.clip(style.pitch_range + 10 * range_jitter, 0, 99),
        ssml=expressive,
    )
    # read at `tract` times the true rate: formants and pitch move up together, and time shrinks
    wave, cut = _trim(soxr.resample(wave, espeak.SAMPLE_RATE * voice.tract, SAMPLE_RATE))
    if not timed:
        return Spoken(wave, None)
    return Spoken(wave, _within(timed_phones([(start / voice.tract - cut, p) for start, p in events]), len(wave)))


def _trim(wave: np.ndarray) -> tuple[np.ndarray, float]:
    """Cut silent margins, scale to unit power; also the seconds cut at the start."""
    loud = np.flatnonzero(np.abs(wave) > _SILENT)
    if len(loud) == 0:
        raise ValueError("a synthesiser returned silence")
    start = max(0, loud[0] - int(_MARGIN[0] * SAMPLE_RATE))
    return unit_rms(wave[start : loud[-1] + int(_MARGIN[1] * SAMPLE_RATE)]), start / SAMPLE_RATE


def _within(phones: list[tuple[float, float, str]], n: int) -> list[tuple[float, float, str]]:
    """Phones cut to the waveform's span."""
    end = n / SAMPLE_RATE
    clipped = [(max(0.0, start), min(end, start + length), phone) for start, length, phone in phones]
    return [(start, stop - start, phone) for start, stop, phone in clipped if stop > start]
