"""Emotions as prosody alone: pitch contour and range, rate and pauses; never level or spectral tilt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Style:
    """A way of speaking. `contour` is the word pitch in percent at the start, middle and end of the sentence."""

    pitch: float = 0.0  # shift in espeak's units (0 to 99)
    pitch_range: float = 45.0  # espeak's units
    rate: float = 1.0  # factor
    contour: tuple[float, float, float] = (3.0, 0.0, -3.0)
    lilt: float = 0.0  # percent by which words go up and down in turn
    tremor: float = 2.0  # standard deviation in percent of each word's pitch
    pause: float = 0.0  # chance of a pause between two words
    pause_ms: tuple[float, float] = (0.0, 0.0)


NEUTRAL = Style()
EMOTIONS = {
    "neutral": Style(pause=0.08, pause_ms=(60, 160)),
    "happy": Style(pitch=4, pitch_range=85, rate=1.05, contour=(0, 8, 24), lilt=16, pause=0.08, pause_ms=(60, 160)),
    "angry": Style(pitch=1, pitch_range=65, rate=1.12, contour=(14, 12, -26), pause=0.6, pause_ms=(50, 110)),
    "sad": Style(pitch=-3, pitch_range=12, rate=0.88, contour=(8, -6, -18), tremor=1, pause=0.22, pause_ms=(200, 420)),
    "fearful": Style(pitch=5, pitch_range=30, rate=1.15, contour=(-6, 8, 22), tremor=9, pause=0.25, pause_ms=(60, 200)),
    "disgusted": Style(pitch=-2, pitch_range=60, rate=0.92, contour=(10, -18, 8), pause=0.15, pause_ms=(80, 200)),
    "frustrated": Style(pitch_range=50, rate=0.97, contour=(10, -8, -20), lilt=6, pause=0.3, pause_ms=(80, 200)),
}


def ssml(text: str, style: Style, rng: np.random.Generator) -> str:
    """The text with a pitch for every word and with pauses, as espeak-ng reads it. Words must be plain letters."""
    words = text.split()
    place = np.linspace(0, 1, max(2, len(words)))
    pitch = np.interp(place, (0, 0.5, 1), style.contour) + style.tremor * rng.standard_normal(len(place))
    pitch += style.lilt * (-1.0) ** (np.arange(len(place)) + rng.integers(2))
    parts = []
    for k, word in enumerate(words):
        parts.append(f'<prosody pitch="{round(pitch[k]):+d}%">{word}</prosody>')
        if k + 1 < len(words) and rng.random() < style.pause:
            parts.append(f'<break time="{round(rng.uniform(*style.pause_ms))}ms"/>')
    return f"<speak>{' '.join(parts)}</speak>"
