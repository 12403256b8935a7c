"""Signal processing for the generators. Waveforms are float arrays `[N]` at 16 kHz; `rng` is the random source."""

import zlib

import numpy as np
from scipy.fft import next_fast_len
from scipy.signal import butter, lfilter, sosfilt

from mini_corpus import SEED

SAMPLE_RATE = 16000
NYQUIST = SAMPLE_RATE / 2


def generator(*key: object) -> np.random.Generator:
    """The random generator of a key: the same words give the same numbers in every process."""
    text = "/".join(map(str, (SEED, *key)))
    return np.random.default_rng(zlib.crc32(text.encode()))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A log-uniform draw."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def choose(rng: np.random.Generator, items):
    """One item of a sequence."""
    return items[int(rng.integers(len(items)))]


def times(n: int) -> np.ndarray:
    """Sample times in seconds, `[n]`."""
    return np.arange(n) / SAMPLE_RATE


def samples(seconds: float) -> int:
    """A duration as a number of samples."""
    return int(seconds * SAMPLE_RATE)


def band_pass(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Second-order Butterworth band-pass; the edges (Hz) are kept inside the band of the signal."""
    edges = [max(low, 20.0) / NYQUIST, min(high, 0.98 * NYQUIST) / NYQUIST]
    return sosfilt(butter(2, edges, "bandpass", output="sos"), x)


def low_pass(x: np.ndarray, cutoff: float) -> np.ndarray:
    """Second-order Butterworth low-pass at `cutoff` Hz."""
    return sosfilt(butter(2, min(cutoff, 7800.0) / NYQUIST, output="sos"), x)


def high_pass(x: np.ndarray, cutoff: float) -> np.ndarray:
    """Second-order Butterworth high-pass at `cutoff` Hz."""
    return sosfilt(butter(2, cutoff / NYQUIST, "highpass", output="sos"), x)


def white_noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """Gaussian noise `[n]`."""
    return rng.standard_normal(n)


def pink_noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise `[n]` whose power falls by 3 dB per octave."""
    size = next_fast_len(n, real=True)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    bins = np.maximum(np.arange(len(spectrum)), 1)
    return np.fft.irfft(spectrum / np.sqrt(bins), size)[:n] * 10


def slow_curve(rng: np.random.Generator, n: int, rate: float) -> np.ndarray:
    """A random curve `[n]` in 0..1 with `rate` knots per second."""
    knots = max(4, int(n / SAMPLE_RATE * rate) + 4)
    return np.interp(np.linspace(0, knots - 1, n), np.arange(knots), rng.uniform(0, 1, knots))


def tone(frequency: np.ndarray | float, n: int) -> np.ndarray:
    """A sine `[n]` of a fixed frequency or of a frequency curve `[n]`, in Hz."""
    return np.sin(2 * np.pi * np.cumsum(np.broadcast_to(frequency, n)) / SAMPLE_RATE)


def pulses(f0: np.ndarray) -> np.ndarray:
    """A pulse train without offset, from a curve of its frequency in Hz, `[N]` -> `[N]`."""
    phase = np.cumsum(f0) / SAMPLE_RATE
    return np.diff(np.floor(phase), prepend=0) - f0.mean() / SAMPLE_RATE


def formants(x: np.ndarray, frequencies: list[float], bandwidth: float = 120.0) -> np.ndarray:
    """A bank of parallel two-pole resonators, the higher ones wider and weaker."""
    total = np.zeros(len(x))
    for k, frequency in enumerate(frequencies):
        radius = np.exp(-np.pi * bandwidth * (1 + 0.3 * k) / SAMPLE_RATE)
        poles = [1, -2 * radius * np.cos(2 * np.pi * frequency / SAMPLE_RATE), radius * radius]
        total += lfilter([1 - radius], poles, x) * 0.8**k
    return total


def onsets(rng: np.random.Generator, n: int, rate: float, jitter: float = 0.3) -> list[int]:
    """Sample positions of nearly periodic events, `rate` per second, the spacing varied by `jitter`."""
    at, found = rng.uniform(0, 1 / rate), []
    while at * SAMPLE_RATE < n:
        found.append(int(at * SAMPLE_RATE))
        at += max(0.02, (1 + jitter * rng.standard_normal()) / rate)
    return found


def add_at(out: np.ndarray, x: np.ndarray, at: float, gain: float = 1.0) -> None:
    """Add `gain * x` into `out` from sample `at` on; the part beyond the end is dropped."""
    start = int(at)
    if 0 <= start < len(out):
        count = min(len(x), len(out) - start)
        out[start : start + count] += gain * x[:count]


def decay(n: int, seconds: float) -> np.ndarray:
    """An envelope `[n]` that falls to 1/e every `seconds`."""
    return np.exp(-times(n) / seconds)


def unit_rms(x: np.ndarray) -> np.ndarray:
    """The waveform scaled to a root mean square of 1 (digital silence stays silent)."""
    return x / (np.sqrt(np.mean(x**2)) + 1e-9)


def unit_peak(x: np.ndarray) -> np.ndarray:
    """The waveform scaled to a peak of 1 (digital silence stays silent)."""
    return x / (np.abs(x).max() + 1e-9)


def fit_length(x: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Cut to `n` samples, or padded with zeros at a random position."""
    if len(x) >= n:
        return x[:n]
    before = int(rng.integers(0, n - len(x) + 1))
    return np.pad(x, (before, n - len(x) - before))
