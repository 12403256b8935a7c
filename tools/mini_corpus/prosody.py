"""Emotions as prosody alone: pitch contour and range, rate and pauses; never level or spectral tilt."""

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
    "neutral": Style(pause=0.1, pause_ms=(60, 160)),
    "happy": Style(pitch=4, pitch_range=90, rate=1.18, contour=(0, 10, 45), lilt=26, pause=0.1, pause_ms=(60, 160)),
    "angry": Style(pitch_range=70, rate=1.3, contour=(30, 22, -35), pause=0.9, pause_ms=(90, 170)),
    "sad": Style(pitch=-2, pitch_range=8, rate=0.72, contour=(6, -12, -28), tremor=1, pause=0.3, pause_ms=(350, 650)),
    "fearful": Style(pitch=5, pitch_range=20, rate=1.35, contour=(-8, 12, 35), tremor=14, pause=0.3,
                     pause_ms=(60, 150)),
    "disgusted": Style(pitch=-2, pitch_range=70, rate=0.82, contour=(20, -28, 14), pause=0.12, pause_ms=(80, 200)),
    "frustrated": Style(pitch_range=50, rate=0.95, contour=(14, -8, -20), lilt=8, pause=0.3, pause_ms=(80, 200)),
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
