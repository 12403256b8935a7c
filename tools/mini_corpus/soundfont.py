"""A small SoundFont 2 player: single notes of the General MIDI font that the wheel `pretty_midi` carries.

Written from the SoundFont 2.04 specification; of the generators it follows key and velocity ranges, tuning, loops, the
volume envelope, attenuation and a fixed low-pass filter. Modulators, LFOs and the modulation envelope are left out.
FluidSynth plays all of the format, but pip does not install it.
"""

import importlib.util
import struct
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.signal import butter, decimate, sosfilt

from m2d.common.errors import UserError
from mini_corpus.dsp import SAMPLE_RATE

DRUM_BANK = 128

# generator numbers of the specification, section 8.1.2
_START, _END, _LOOP_START, _LOOP_END, _START_COARSE = 0, 1, 2, 3, 4
_FILTER, _END_COARSE = 8, 12
_DELAY, _ATTACK, _HOLD, _DECAY, _SUSTAIN, _RELEASE = 33, 34, 35, 36, 37, 38
_INSTRUMENT, _KEYS, _VELOCITIES, _LOOP_START_COARSE = 41, 43, 44, 45
_ATTENUATION, _LOOP_END_COARSE, _COARSE_TUNE, _FINE_TUNE = 48, 50, 51, 52
_SAMPLE, _MODE, _SCALE, _ROOT = 53, 54, 56, 58
_DEFAULTS = {_FILTER: 13500, _DELAY: -12000, _ATTACK: -12000, _HOLD: -12000, _DECAY: -12000, _RELEASE: -12000,
             _SCALE: 100, _ROOT: -1}
_OVERSAMPLING = 2


def sound_font_path() -> Path:
    """Path of the font. Raises `UserError` if its wheel is missing."""
    spec = importlib.util.find_spec("pretty_midi")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("the music sets of the mini corpus need a sound font: pip install 'm2d[minicorpus]'")
    return Path(spec.submodule_search_locations[0]) / "TimGM6mb.sf2"


@lru_cache(maxsize=1)
def sound_font() -> "SoundFont":
    """The font, read once per process."""
    return SoundFont(sound_font_path())


class SoundFont:
    """A font's samples and presets; `note` plays."""

    def __init__(self, path: Path) -> None:
        """Raises `UserError` for a file that is not a SoundFont."""
        data = path.read_bytes() if path.is_file() else b""
        if data[:4] != b"RIFF" or data[8:12] != b"sfbk":
            raise UserError(f"{path}: not a SoundFont 2 file: reinstall the wheel pretty_midi")
        chunks = _chunks(data)
        self._pcm = np.frombuffer(chunks[b"smpl"], "<i2")
        self._headers = list(struct.iter_unpack("<20sIIIIIBbHH", chunks[b"shdr"]))
        instruments = list(struct.iter_unpack("<20sH", chunks[b"inst"]))
        presets = list(struct.iter_unpack("<20sHHHIII", chunks[b"phdr"]))
        self._instruments = [
            _zones(chunks, b"ibag", b"igen", here[1], after[1], _SAMPLE)
            for here, after in pairwise(instruments)
        ]
        self._presets = {
            (here[2], here[1]): _zones(chunks, b"pbag", b"pgen", here[3], after[3], _INSTRUMENT)
            for here, after in pairwise(presets)
        }

    def note(self, program: int, key: int, velocity: int, held: float, total: float, bank: int = 0) -> np.ndarray:
        """One MIDI note held for `held` seconds, `[total * 16000]` float32."""
        out = np.zeros(int(total * SAMPLE_RATE * _OVERSAMPLING))
        for preset in self._presets[bank, program]:
            if not _matches(preset, key, velocity):
                continue
            for zone in self._instruments[preset[_INSTRUMENT]]:
                if _matches(zone, key, velocity):
                    out += self._play(_Settings(zone, preset), key, held, len(out))
        out *= (velocity / 127) ** 2
        return decimate(out, _OVERSAMPLING, ftype="fir").astype(np.float32)

    def _play(self, zone: "_Settings", key: int, held: float, n: int) -> np.ndarray:
        rate = SAMPLE_RATE * _OVERSAMPLING
        y = self._resampled(zone, key, n) * _envelope(zone, held, n) * 10 ** (-0.4 * zone[_ATTENUATION] / 200)
        cutoff = 8.176 * 2 ** (zone[_FILTER] / 1200)
        if cutoff < 12000:
            y = sosfilt(butter(2, cutoff / (rate / 2), output="sos"), y)
        return y

    def _resampled(self, zone: "_Settings", key: int, n: int) -> np.ndarray:
        _, start, end, loop_start, loop_end, sample_rate, root, correction, _, _ = self._headers[zone[_SAMPLE]]
        root = zone[_ROOT] if zone[_ROOT] >= 0 else root
        start += zone[_START] + 32768 * zone[_START_COARSE]
        end += zone[_END] + 32768 * zone[_END_COARSE]
        loop_start += zone[_LOOP_START] + 32768 * zone[_LOOP_START_COARSE] - start
        loop_end += zone[_LOOP_END] + 32768 * zone[_LOOP_END_COARSE] - start
        x = self._pcm[start:end].astype(np.float32) / 32768

        semitones = (key - root) * zone[_SCALE] / 100 + zone[_COARSE_TUNE] + (zone[_FINE_TUNE] + correction) / 100
        position = np.arange(n) * (sample_rate / (SAMPLE_RATE * _OVERSAMPLING) * 2 ** (semitones / 12))
        looped = zone[_MODE] in (1, 3) and loop_end - loop_start > 8 and loop_end <= len(x)
        if looped:
            x = np.append(x[:loop_end], x[loop_start])  # the point after the loop's end is its start
            again = loop_start + np.mod(position - loop_start, loop_end - loop_start)
            position = np.where(position < loop_end, position, again)
        return np.interp(position, np.arange(len(x)), x, right=0.0)


class _Settings:
    """Generators of an instrument zone with the preset zone's offsets added."""

    _NOT_ADDED = (_SAMPLE, _MODE, _ROOT)

    def __init__(self, zone: dict[int, int], preset: dict[int, int]) -> None:
        self._zone, self._preset = zone, preset

    def __getitem__(self, generator: int) -> int:
        value = self._zone.get(generator, _DEFAULTS.get(generator, 0))
        return value if generator in self._NOT_ADDED else value + self._preset.get(generator, 0)

    def seconds(self, generator: int) -> float:
        """A time in the font's timecents, as seconds; -12000 and below mean zero."""
        return 2.0 ** (self[generator] / 1200) if self[generator] > -12000 else 0.001


def _envelope(zone: _Settings, held: float, n: int) -> np.ndarray:
    """Delay, attack, hold, decay in dB to the sustain level, release in dB from `held` seconds on."""
    t = np.arange(n) / (SAMPLE_RATE * _OVERSAMPLING)
    delay, attack = zone.seconds(_DELAY), zone.seconds(_ATTACK)
    sustain_db = np.clip(zone[_SUSTAIN], 0, 1000) / 10
    falling = t - delay - attack - zone.seconds(_HOLD)
    envelope = 10 ** (-np.clip(falling / zone.seconds(_DECAY) * 100, 0, sustain_db) / 20)
    envelope = np.where(t < delay + attack, np.clip((t - delay) / attack, 0, 1), envelope)
    off = min(int(held * SAMPLE_RATE * _OVERSAMPLING), n - 1)
    envelope[off:] = envelope[off] * 10 ** (-np.clip((t[off:] - held) / zone.seconds(_RELEASE) * 100, 0, 120) / 20)
    return envelope


def _chunks(data: bytes) -> dict[bytes, bytes]:
    chunks, at = {}, 12
    while at < len(data) - 8:
        name, size = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])[0]
        if name == b"LIST":
            at += 12
            continue
        chunks[name] = data[at + 8 : at + 8 + size]
        at += 8 + size + (size & 1)
    return chunks


def _zones(
    chunks: dict[bytes, bytes], bag_name: bytes, generator_name: bytes, first: int, last: int, terminal: int
) -> list[dict[int, int]]:
    """The zones `first` to `last`, a leading global zone merged into the others."""
    bags = list(struct.iter_unpack("<HH", chunks[bag_name]))
    generators = list(struct.iter_unpack("<Hh", chunks[generator_name]))
    zones, common = [], {}
    for k in range(first, last):
        zone = dict(generators[bags[k][0] : bags[k + 1][0]])
        if terminal in zone:
            zones.append({**common, **zone})
        elif not zones:
            common = zone
    return zones


def _matches(zone: dict[int, int], key: int, velocity: int) -> bool:
    for generator, value in ((_KEYS, key), (_VELOCITIES, velocity)):
        limits = zone.get(generator)
        if limits is not None and not (limits & 255) <= value <= ((limits >> 8) & 255):
            return False
    return True
