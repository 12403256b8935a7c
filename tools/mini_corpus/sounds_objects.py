"""Things people touch: doors, keys, glass, clocks, bells, hands and feet."""

import numpy as np

from mini_corpus.dsp import (
    add_at,
    band_pass,
    choose,
    decay,
    high_pass,
    log_uniform,
    low_pass,
    onsets,
    pink_noise,
    samples,
    times,
    tone,
    white_noise,
)

# partials of a bell: ratio to the strike note, amplitude, decay per second
BELL = ((0.5, 0.6, 0.6), (1.0, 1.0, 0.9), (1.19, 0.7, 1.3), (1.5, 0.5, 1.6), (2.0, 0.6, 2.0), (2.7, 0.3, 4.0),
        (4.1, 0.2, 6.0))


def clock_tick(rng, n):
    """Alternating ticks at an exact rate."""
    y = 0.01 * pink_noise(rng, n)
    pitch, ring = rng.uniform(1500, 4500), rng.uniform(0.004, 0.02)
    for k, at in enumerate(onsets(rng, n, choose(rng, [1, 2, 2.5, 4]), 0.004)):
        length = samples(0.06)
        tick = tone(pitch * (0.85 if k % 2 else 1.0), length) * decay(length, ring)
        add_at(y, tick + 0.3 * white_noise(rng, length) * decay(length, 0.002), at)
    return y


def door_knock(rng, n):
    """Groups of two to five knocks on wood."""
    y = 0.02 * pink_noise(rng, n)
    pitch, at = rng.uniform(90, 260), rng.uniform(0, 0.8)
    while samples(at) < n:
        gap = rng.uniform(0.12, 0.28)
        for k in range(rng.integers(2, 6)):
            length = samples(0.15)
            knock = sum(tone(pitch * h, length) * decay(length, 0.04 / h) / h for h in (1, 1.6, 2.4, 3.7))
            knock = knock + 0.4 * low_pass(white_noise(rng, length), 2500) * decay(length, 0.006)
            add_at(y, knock, samples(at + k * gap), rng.uniform(0.7, 1))
        at += gap * 5 + rng.uniform(0.8, 2)
    return y


def footsteps(rng, n):
    """Heel and toe, step by step."""
    y = 0.02 * pink_noise(rng, n)
    low = rng.uniform(200, 900)
    for at in onsets(rng, n, rng.uniform(1.4, 2.8), 0.06):
        length = samples(rng.uniform(0.07, 0.14))
        t = np.arange(length) / length
        add_at(y, band_pass(white_noise(rng, length), low, low * 4) * np.exp(-6 * t), at, rng.uniform(0.6, 1))
        toe = band_pass(white_noise(rng, length), low * 1.5, low * 6) * np.exp(-8 * t)
        add_at(y, toe, at + samples(0.09), rng.uniform(0.2, 0.5))
    return y


def keyboard_typing(rng, n):
    """Uneven clicks, each with the key's release."""
    y = 0.015 * pink_noise(rng, n)
    pitch = rng.uniform(1500, 3500)
    for at in onsets(rng, n, rng.uniform(4, 10), 0.6):
        length = samples(0.03)
        click = band_pass(white_noise(rng, length), pitch * rng.uniform(0.7, 1), 7500) * decay(length, 0.004)
        add_at(y, click, at, rng.uniform(0.5, 1))
        add_at(y, click, at + samples(rng.uniform(0.05, 0.11)), rng.uniform(0.2, 0.5))
    return y


def glass_breaking(rng, n):
    """A crash and falling splinters."""
    y = 0.01 * pink_noise(rng, n)
    at = rng.uniform(0.1, 1.2)
    while samples(at) < n:
        length = samples(0.1)
        add_at(y, high_pass(white_noise(rng, length), 1500) * decay(length, 0.02), samples(at))
        for _ in range(rng.integers(15, 50)):
            length = samples(rng.uniform(0.05, 0.3))
            splinter = tone(rng.uniform(2200, 7500), length) * decay(length, rng.uniform(0.01, 0.06))
            add_at(y, splinter, samples(at + rng.exponential(0.2)), rng.uniform(0.1, 0.5))
        at += rng.uniform(1.8, 4)
    return y


def church_bells(rng, n):
    """Bells with inharmonic partials, at four intervals."""
    y = 0.01 * pink_noise(rng, n)
    pitch, t = log_uniform(rng, 180, 700), times(n)
    for at in onsets(rng, n, rng.uniform(0.4, 1.4), 0.2):
        strike = pitch * choose(rng, [1, 1, 1.19, 1.5])
        add_at(y, sum(a * np.sin(2 * np.pi * strike * h * t) * np.exp(-t * d) for h, a, d in BELL), at, 0.5)
    return y


def clapping(rng, n):
    """One to thirty pairs of hands."""
    y = 0.02 * pink_noise(rng, n)
    centre = rng.uniform(700, 1600)
    for _ in range(rng.integers(1, 30)):
        own, gain = centre * rng.uniform(0.7, 1.4), rng.uniform(0.3, 1)
        for at in onsets(rng, n, rng.uniform(2.5, 5), 0.1):
            length = samples(0.04)
            add_at(y, band_pass(white_noise(rng, length), own * 0.6, own * 2.5) * decay(length, 0.008), at, gain)
    return y


def gun_shot(rng, n):
    """A bang with an echo tail."""
    y = 0.02 * pink_noise(rng, n)
    for at in onsets(rng, n, rng.uniform(0.5, 2), 0.6):
        length = samples(rng.uniform(0.3, 0.9))
        envelope = decay(length, 0.015) + 0.15 * decay(length, rng.uniform(0.08, 0.25))
        add_at(y, low_pass(white_noise(rng, length), rng.uniform(1500, 6000)) * envelope, at)
    return y


ALL = [clock_tick, door_knock, footsteps, keyboard_typing, glass_breaking, church_bells, clapping, gun_shot]
