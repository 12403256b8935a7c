"""Engines, tools, alarms and household machines."""

import numpy as np

from mini_corpus.dsp import (
    add_at,
    band_pass,
    decay,
    formants,
    high_pass,
    log_uniform,
    low_pass,
    onsets,
    pink_noise,
    pulses,
    samples,
    slow_curve,
    times,
    tone,
    white_noise,
)


def siren(rng, n):
    """A tone that sweeps, or switches, between two pitches."""
    low, high, rate = rng.uniform(450, 750), rng.uniform(1000, 1700), log_uniform(rng, 0.15, 4)
    sweep = 0.5 + 0.5 * np.sin(2 * np.pi * rate * times(n))
    if rng.random() < 0.35:
        sweep = (sweep > 0.5).astype(float)
    return np.tanh(rng.uniform(1, 4) * tone(low + (high - low) * sweep, n)) + 0.1 * pink_noise(rng, n)


def car_horn(rng, n):
    """Two clipped tones a third apart."""
    y = 0.08 * low_pass(pink_noise(rng, n), 1500)
    pitch, interval = rng.uniform(330, 520), rng.uniform(1.2, 1.3)
    for at in onsets(rng, n, rng.uniform(0.6, 1.8), 0.5):
        length = samples(rng.uniform(0.15, 0.9))
        t = times(length)
        ramp = np.minimum(1, np.minimum(t, t[::-1]) / 0.02)
        add_at(y, sum(np.tanh(3 * tone(f, length)) for f in (pitch, pitch * interval)) * ramp, at, 0.8)
    return y


def engine_idling(rng, n):
    """Slow pulses and noise that follows them."""
    rate = log_uniform(rng, 18, 60) * (1 + 0.25 * (slow_curve(rng, n, 0.8) - 0.5))
    source = 8 * pulses(rate) + 0.3 * white_noise(rng, n) * (0.5 + 0.5 * tone(rate, n))
    body = formants(source, [rng.uniform(70, 150), rng.uniform(200, 400), rng.uniform(600, 1200)], 100)
    return body + 0.1 * low_pass(pink_noise(rng, n), 900)


def helicopter(rng, n):
    """Chopped low noise under a whine."""
    t, rate = times(n), rng.uniform(9, 20)
    chop = np.exp(-np.mod(t * rate, 1) * rng.uniform(4, 9))
    blades = low_pass(white_noise(rng, n), rng.uniform(300, 900)) * chop
    return blades + 0.15 * tone(rng.uniform(200, 700), n) + 0.12 * pink_noise(rng, n)


def vacuum_cleaner(rng, n):
    """A harmonic motor and rushing air."""
    motor = rng.uniform(90, 260) * (1 + 0.02 * slow_curve(rng, n, 2))
    hum = sum(tone(h * motor, n) / h for h in (1, 2, 3, 5, 8)) * rng.uniform(0.1, 0.4)
    return hum + band_pass(white_noise(rng, n), rng.uniform(200, 600), rng.uniform(2500, 6500)) * rng.uniform(0.5, 1)


def jackhammer(rng, n):
    """Ten to twenty blows a second."""
    y = 0.1 * pink_noise(rng, n)
    centre = rng.uniform(600, 2500)
    for at in onsets(rng, n, rng.uniform(10, 22), 0.03):
        length = samples(0.05)
        blow = band_pass(white_noise(rng, length), centre * 0.5, centre * 3) * decay(length, 0.012)
        add_at(y, blow + tone(90, length) * decay(length, 0.02), at)
    return y


def drilling(rng, n):
    """A rich buzz of wandering pitch."""
    buzz = rng.uniform(150, 420) * (1 + 0.4 * slow_curve(rng, n, 1.2))
    phase = 2 * np.pi * np.cumsum(buzz) / 16000
    motor = sum(np.sin(h * phase + h) / h**0.6 for h in range(1, 14)) * 0.3
    return motor + high_pass(white_noise(rng, n), 1500) * rng.uniform(0.2, 0.7)


def air_conditioner(rng, n):
    """Steady air over a hum and its octave."""
    hum = rng.uniform(50, 130)
    beat = 1 + 0.3 * tone(rng.uniform(0.5, 3), n)
    air = low_pass(pink_noise(rng, n), rng.uniform(500, 2500))
    return air + rng.uniform(0.1, 0.5) * tone(hum, n) + rng.uniform(0.05, 0.2) * tone(2 * hum, n) * beat


ALL = [siren, car_horn, engine_idling, helicopter, vacuum_cleaner, jackhammer, drilling, air_conditioner]
