"""Speech by SVOX Pico from the wheel `py-nanotts`: a second engine, optional because not every machine has a wheel."""

import ctypes
import importlib.util

import numpy as np

SAMPLE_RATE = 16000
VOICES = ("en-US", "en-GB")


def available() -> bool:
    """Whether the wheel is installed (there is none for some machines)."""
    return importlib.util.find_spec("py_nanotts") is not None


M_PERTURB = -6  # of glibc's mallopt


class Pico:
    """One engine; `say` speaks. Use one process per engine: earlier utterances influence later ones."""

    def __init__(self) -> None:
        from py_nanotts import NanoTTS

        _zero_new_memory()
        self._engine = NanoTTS()

    def say(self, text: str, voice: str, speed: float, pitch: float) -> np.ndarray:
        """Waveform `[N]` float at 16 kHz in -1..1; `speed` and `pitch` are factors around 1."""
        pcm = self._engine.speak(text, voice=voice, speed=speed, pitch=pitch)
        return np.frombuffer(pcm, np.int16).astype(np.float32) / 32768


def _zero_new_memory() -> None:
    """Have glibc return zeroed memory from now on, because Pico reads memory that it never wrote.

    Without this, one utterance in some ten differs from run to run. Other C libraries have no such switch.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_PERTURB, 255)  # new memory holds the complement of this byte
