"""Speech by the espeak-ng library inside the wheel `espeakng-loader`, driven through ctypes: waveform and phone times.

The library keeps state between calls; see the package docstring for what that means for repeatability.
"""

import ctypes
import importlib.util

import numpy as np

from m2d.common.errors import UserError

SAMPLE_RATE = 22050

# values of espeak-ng's public header speak_lib.h
_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS = 0x0001
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_SSML = 0x10
_RATE, _PITCH, _RANGE = 1, 3, 4
_EVENT_LIST_TERMINATED = 0
_EVENT_PHONEME = 7


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def require() -> None:
    """Raise `UserError` with the command that installs espeak-ng if its wheel is missing."""
    if importlib.util.find_spec("espeakng_loader") is None:
        raise UserError("the speech sets of the mini corpus need espeak-ng: pip install 'm2d[minicorpus]'")


class Espeak:
    """One loaded library. `say` speaks; only one instance may live in a process."""

    def __init__(self) -> None:
        """Raises `UserError` if the wheel is missing or the library does not start."""
        require()
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        flags = _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_DONT_EXIT
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, flags)
        if rate != SAMPLE_RATE:
            raise UserError(f"espeak-ng did not start from {data.decode()}: reinstall the wheel espeakng-loader")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # by default it is seeded by the clock
        self._pcm: list[np.ndarray] = []
        self._phones: list[tuple[float, str]] = []
        self._callback = _Callback(self._receive)  # referenced, or ctypes frees it
        self._library.espeak_SetSynthCallback(self._callback)

    def say(
        self, text: str, voice: str, rate: float, pitch: float, pitch_range: float, ssml: bool = False
    ) -> tuple[np.ndarray, list[tuple[float, str]]]:
        """Waveform `[N]` float at 22,050 Hz in -1..1 and phones as (start in seconds, espeak's mnemonic).

        `rate` is in words per minute (80 to 450), `pitch` and `pitch_range` are 0 to 99. The last phone's start is the
        end of the speech. Raises `UserError` for an unknown voice.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UserError(f"espeak-ng has no voice '{voice}': reinstall the wheel espeakng-loader")
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, int(value), 0)
        self._pcm, self._phones = [], []
        data = text.encode()
        flags = _CHARS_UTF8 | (_SSML if ssml else 0)
        if self._library.espeak_Synth(data, len(data) + 1, 0, 0, 0, flags, None, None) != 0 or not self._pcm:
            raise UserError(f"espeak-ng could not speak '{text}' with voice '{voice}'")
        return np.concatenate(self._pcm).astype(np.float32) / 32768, self._phones

    def _receive(self, wave, count, events) -> int:
        if wave and count > 0:
            self._pcm.append(np.ctypeslib.as_array(wave, (count,)).copy())
        k = 0
        while events[k].type != _EVENT_LIST_TERMINATED:
            if events[k].type == _EVENT_PHONEME:
                self._phones.append((events[k].audio_position / 1000, events[k].id.string.decode("utf-8", "replace")))
            k += 1
        return 0
