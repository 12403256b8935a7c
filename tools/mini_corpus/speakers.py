"""Speakers: an unbounded series of voices, and the part of it that each set uses."""

from dataclasses import dataclass

from m2d.common.errors import UserError
from mini_corpus import nanotts
from mini_corpus.dsp import choose, generator

BAND_SIZE = 10_000
# one band of indices per use; no two uses share a speaker, whatever the scale
BANDS = (
    "librispeech_train",
    "noise",
    "librispeech_dev",
    "librispeech_test",
    "speech_commands_v1",
    "speech_commands_v2",
    "fluent",
    "voxceleb",
    "iemocap",
    "crema_d",
    "voxforge",
    "audioset_eval",
    "teacher",
)

# espeak-ng's voice variants whose mutual differences exceed the variation of a single voice
_VARIANT_TABLE = """
Alex Alicia Andrea Andy Annie Denis Gene Jacky Lee Mario Mike Nguyen Storm adam anika antonio boris david ed edward f1
f2 f3 f4 f5 grandma gustave ian iven2 kaukovalta klatt2 klatt3 linda m1 m2 m4 m7 m8 marcelo max miguel norbert pablo
paul quincy rob sandro shelby steph2 travis zac
"""
VARIANTS = tuple(_VARIANT_TABLE.split())
ACCENTS = ("en-us",) * 6 + ("en-gb-x-rp", "en-us-nyc", "en-029", "en-gb-scotland")
PICO_EVERY = 5  # every fifth speaker is Pico's


@dataclass(frozen=True)
class Voice:
    """One speaker. `pitch` and `rate` are in the engine's own units; `tract` > 1 is a shorter vocal tract."""

    engine: str  # espeak | pico
    name: str  # espeak: the variant; pico: the voice
    accent: str  # espeak: the language; pico: unused
    pitch: float
    rate: float
    tract: float


def speaker(band: str, k: int) -> int:
    """The index of the `k`-th speaker of a band. Raises `UserError` beyond the band's end."""
    if k >= BAND_SIZE:
        raise UserError(f"scale is too large: the set '{band}' has at most {BAND_SIZE} speakers")
    return BANDS.index(band) * BAND_SIZE + k


def voice(index: int, espeak_only: bool = False, language: str | None = None) -> Voice:
    """The voice of a speaker, a function of its index alone.

    Every fifth is Pico's, unless its wheel is missing, `espeak_only` excludes it (Pico has no expression and no phone
    times), or `language` is not English.
    """
    rng = generator("speaker", index)
    if index % PICO_EVERY == PICO_EVERY - 1 and not espeak_only and language is None and nanotts.available():
        return Voice("pico", nanotts.VOICES[index // PICO_EVERY % len(nanotts.VOICES)], "",
                     pitch=rng.uniform(0.75, 1.3), rate=rng.uniform(0.85, 1.15), tract=rng.uniform(0.86, 1.16))
    return Voice("espeak", VARIANTS[index * 7 % len(VARIANTS)], language or choose(rng, ACCENTS),
                 pitch=rng.uniform(35, 65), rate=rng.uniform(150, 195), tract=rng.uniform(0.92, 1.09))
