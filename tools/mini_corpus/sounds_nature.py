"""Weather, water, fire, animals and children."""

import numpy as np

from mini_corpus.dsp import (
    add_at,
    band_pass,
    choose,
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


def rain(rng, n):
    """A hiss and many random drops."""
    drops = np.zeros(n)
    count = int(n / 16000 * log_uniform(rng, 30, 300))
    drops[rng.integers(0, n, count)] = rng.exponential(1, count)
    hiss = high_pass(pink_noise(rng, n), rng.uniform(300, 1500)) * rng.uniform(0.3, 0.8)
    return hiss + band_pass(drops, log_uniform(rng, 1500, 3000), 7500) * rng.uniform(3, 12)


def wind(rng, n):
    """Noise through a band whose centre wanders."""
    centre = 150 + 900 * slow_curve(rng, n, rng.uniform(0.4, 1.5))
    noise = white_noise(rng, n)
    total = np.zeros(n)
    for frequency in np.linspace(120, 1200, 8):
        total += band_pass(noise, 0.8 * frequency, 1.25 * frequency) * np.exp(-(((centre - frequency) / 180) ** 2))
    return total * (0.3 + slow_curve(rng, n, 1))


def sea_waves(rng, n):
    """Noise that swells every few seconds."""
    period = rng.uniform(2.5, 6)
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * (times(n) / period + rng.uniform()))
    return low_pass(pink_noise(rng, n), rng.uniform(1200, 5000)) * (0.08 + swell ** rng.uniform(1.5, 3))


def crackling_fire(rng, n):
    """A rumble and short crackles."""
    y = low_pass(pink_noise(rng, n), rng.uniform(200, 600)) * rng.uniform(0.1, 0.5)
    for at in rng.integers(0, n, int(n / 16000 * log_uniform(rng, 6, 30))):
        length = samples(log_uniform(rng, 0.002, 0.03))
        crackle = band_pass(white_noise(rng, length + 50), rng.uniform(800, 2500), 7500)
        add_at(y, crackle * np.exp(-np.arange(length + 50) / length * 4), at, log_uniform(rng, 0.3, 3))
    return y


def thunder(rng, n):
    """Long low rumbles."""
    y = low_pass(pink_noise(rng, n), 150) * 0.3
    at = rng.uniform(0, 1.5)
    while samples(at) < n:
        length = samples(rng.uniform(1.5, 4))
        rumble = low_pass(white_noise(rng, length), log_uniform(rng, 80, 500))
        fall = np.exp(-4 * np.arange(length) / length)
        add_at(y, rumble * fall * (0.3 + slow_curve(rng, length, 8)), samples(at), 4)
        at += rng.uniform(2, 4)
    return y


def water_drops(rng, n):
    """Short rising sines."""
    y = 0.015 * pink_noise(rng, n)
    for at in onsets(rng, n, log_uniform(rng, 1, 6), 0.4):
        length = samples(rng.uniform(0.04, 0.12))
        t = np.arange(length) / length
        rise = rng.uniform(500, 1400) * (1 + rng.uniform(0.3, 1.5) * t)
        add_at(y, tone(rise, length) * np.exp(-5 * t), at, rng.uniform(0.4, 1))
    return y


def crickets(rng, n):
    """One to three insects, each a tone in pulses in trills."""
    y = 0.02 * pink_noise(rng, n)
    t = times(n)
    for _ in range(rng.integers(1, 4)):
        frequency, pulse, trill = rng.uniform(2800, 5500), rng.uniform(25, 60), rng.uniform(0.8, 3.5)
        gate = np.sin(2 * np.pi * trill * t + rng.uniform(0, 6)) > rng.uniform(-0.5, 0.4)
        envelope = low_pass(np.clip(np.sin(2 * np.pi * pulse * t), 0, 1) * gate, 300)
        y += tone(frequency, n) * envelope * rng.uniform(0.3, 1)
    return y


def chirping_birds(rng, n):
    """Chirps of one bird: rising, arched or warbling."""
    y = 0.03 * pink_noise(rng, n)
    base, kind = rng.uniform(1800, 4200), rng.integers(3)
    for at in onsets(rng, n, rng.uniform(1.5, 6), 0.5):
        length = samples(rng.uniform(0.05, 0.18))
        t = np.arange(length) / length
        if kind == 0:
            shape = 1 + rng.uniform(0.1, 0.6) * t
        elif kind == 1:
            shape = 1 + 0.3 * np.sin(np.pi * t)
        else:
            shape = 1 + 0.12 * np.sin(2 * np.pi * rng.uniform(2, 8) * t)
        add_at(y, tone(base * shape * rng.uniform(0.9, 1.1), length) * np.hanning(length), at, rng.uniform(0.4, 1))
    return y


def dog_bark(rng, n):
    """Short arched voiced bursts."""
    y = 0.02 * pink_noise(rng, n)
    f0, size = log_uniform(rng, 180, 600), rng.uniform(0.8, 1.3)
    for at in onsets(rng, n, rng.uniform(0.7, 2.2), 0.35):
        length = samples(rng.uniform(0.1, 0.25))
        t = np.arange(length) / length
        source = pulses(f0 * rng.uniform(0.9, 1.1) * (1 + 0.5 * np.sin(np.pi * t))) + 0.15 * white_noise(rng, length)
        voice = formants(source, [700 * size, 1500 * size, 2600 * size], 250)
        add_at(y, voice * np.sin(np.pi * t**0.6), at, rng.uniform(6, 10))
    return y


def cat(rng, n):
    """Long meows that glide from one vowel to another."""
    y = 0.02 * pink_noise(rng, n)
    f0, size = log_uniform(rng, 350, 800), rng.uniform(0.9, 1.4)
    for at in onsets(rng, n, rng.uniform(0.4, 0.9), 0.3):
        length = samples(rng.uniform(0.4, 0.9))
        t = np.arange(length) / length
        arch = 1 + rng.uniform(0.2, 0.6) * np.sin(np.pi * t**0.7)
        source = pulses(f0 * arch * (1 + 0.02 * np.sin(2 * np.pi * 7 * t)))
        first = formants(source, [600 * size, 2300 * size, 3500 * size])
        second = formants(source, [1000 * size, 1500 * size, 3000 * size])
        add_at(y, ((1 - t) * first + t * second) * np.sin(np.pi * t), at, 10)
    return y


def frog(rng, n):
    """Croaks: slow pulses through two resonances."""
    y = 0.03 * pink_noise(rng, n)
    resonance, rate = rng.uniform(300, 900), rng.uniform(20, 50)
    for at in onsets(rng, n, rng.uniform(0.8, 2.5), 0.2):
        length = samples(rng.uniform(0.15, 0.5))
        croak = formants(pulses(rate * (1 + times(length))), [resonance, 2.2 * resonance], 90)
        add_at(y, croak * np.hanning(length), at, 12)
    return y


def sheep(rng, n):
    """Bleats: a voice with a strong tremor."""
    y = 0.02 * pink_noise(rng, n)
    f0, size, tremor = log_uniform(rng, 150, 350), rng.uniform(0.9, 1.3), choose(rng, [8, 10, 12])
    for at in onsets(rng, n, rng.uniform(0.4, 0.9), 0.3):
        length = samples(rng.uniform(0.5, 1.0))
        t = times(length)
        source = pulses(f0 * (1 + 0.06 * np.sin(2 * np.pi * tremor * t)))
        shake = 0.6 + 0.4 * np.sin(2 * np.pi * tremor * t)
        add_at(y, formants(source, [650 * size, 1700 * size, 2500 * size]) * shake * np.hanning(length), at, 10)
    return y


def children_playing(rng, n):
    """Three to six high voices that shout syllables over each other."""
    y = 0.02 * pink_noise(rng, n)
    for _ in range(rng.integers(3, 7)):
        f0, size = rng.uniform(260, 480), rng.uniform(1.15, 1.4)
        for at in onsets(rng, n, rng.uniform(1.5, 3.5), 0.7):
            length = samples(rng.uniform(0.12, 0.4))
            t = np.arange(length) / length
            source = pulses(f0 * rng.uniform(0.85, 1.3) * (1 + rng.uniform(-0.15, 0.3) * t))
            source += 0.03 * white_noise(rng, length)
            vowel = [rng.uniform(350, 850) * size, rng.uniform(900, 2300) * size, 2900 * size]
            add_at(y, formants(source, vowel, 100) * np.sin(np.pi * t) ** 0.5, at, rng.uniform(2, 8))
    return y


ALL = [rain, wind, sea_waves, crackling_fire, thunder, water_drops, crickets, chirping_birds, dog_bark, cat, frog,
       sheep, children_playing]
