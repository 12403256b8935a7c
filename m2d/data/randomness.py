"""Random numbers that are pure functions of (seed, epoch, index): no state to save, no dependence on workers or ranks.

A counter goes through the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014), so that the numbers are the same with any version of numpy. numpy's Philox guarantees the
same, but needs a generator per sample: 5.1 ms instead of 0.06 ms for three numbers for each of 512 samples.
"""

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def uniform(seed: int, epoch: int, index: np.ndarray, draws: int) -> np.ndarray:
    """`draws` independent numbers in [0, 1) for each `index` `[B]`: float64 `[B, draws]`."""
    counters = _mix(_stream(seed, epoch) + np.asarray(index).astype(np.uint64) * _GAMMA)[:, None]
    bits = _mix(counters + np.arange(1, draws + 1, dtype=np.uint64) * _GAMMA)
    return (bits >> np.uint64(11)) * 2.0**-53


def permutation(seed: int, epoch: int, size: int) -> np.ndarray:
    """A random order of 0 .. size - 1: int64 `[size]`."""
    keys = _mix(~_stream(seed, epoch) + np.arange(size, dtype=np.uint64) * _GAMMA)
    return np.argsort(keys, kind="stable")


def _stream(seed: int, epoch: int) -> np.ndarray:
    start = np.array([seed & 0xFFFFFFFFFFFFFFFF], np.uint64)
    return _mix(_mix(start + _GAMMA) + np.array([epoch + 1], np.uint64) * _GAMMA)


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
