"""Short tunes in ten genres and the programs of eleven instrument families, for the General MIDI sound font."""

from dataclasses import dataclass, field

import numpy as np

from mini_corpus.dsp import add_at, choose, samples
from mini_corpus.soundfont import DRUM_BANK, sound_font

KICK, STICK, SNARE, CLOSED_HAT, PEDAL_HAT, OPEN_HAT, RIDE = 36, 37, 38, 42, 44, 46, 51
MINOR = (0, 2, 3, 5, 7, 8, 10)
MAJOR = (0, 2, 4, 5, 7, 9, 11)
BACKBEAT = "0000100000001000"
EIGHTHS = "1010101010101010"


@dataclass(frozen=True)
class Genre:
    """What makes a genre. Programs are General MIDI numbers, drum patterns are 16 sixteenths, `1` a stroke."""

    tempo: tuple[float, float]  # beats per minute
    scale: tuple[int, ...]
    lead: tuple[int, ...]
    chords: tuple[int, ...]
    bass: tuple[int, ...]
    drums: dict[int, str] = field(default_factory=dict)
    swing: float = 0.0  # delay of every second sixteenth, in sixteenths
    density: float = 0.5  # share of sixteenths with a melody note
    chord_step: int = 16  # sixteenths between chords, and the first one's place
    chord_offset: int = 0
    chord_shape: tuple[int, ...] = ()  # intervals; empty: the scale's triad
    chord_length: int = 8
    bass_step: int = 8
    bass_walk: tuple[int, ...] = (0,)
    degrees: tuple[int, ...] = ()  # roots of the bars; empty: drawn


GENRES = {
    "blues": Genre((70, 120), (0, 3, 5, 6, 7, 10), (29, 22, 27, 66), (16, 25, 0), (33, 32),
                   {KICK: "1000000010100000", SNARE: BACKBEAT, CLOSED_HAT: EIGHTHS}, swing=0.33, bass_step=4,
                   degrees=(0, 0, 5, 0, 7, 5, 0, 7)),
    "classical": Genre((60, 110), MAJOR, (40, 73, 68, 0, 71), (48, 46, 0, 6), (42, 43), density=0.6),
    "country": Genre((90, 140), (0, 2, 4, 7, 9), (105, 110, 25, 22), (25, 24, 0), (32, 33),
                     {KICK: "1000000010000000", SNARE: BACKBEAT, CLOSED_HAT: "0010001000100010"}, density=0.55),
    "disco": Genre((112, 128), MINOR, (50, 61, 81, 27), (48, 5, 27), (36, 38, 39, 33),
                   {KICK: "1000100010001000", SNARE: BACKBEAT, OPEN_HAT: "0010001000100010"}, bass_step=4,
                   chord_step=4, chord_offset=2, chord_length=2),
    "hiphop": Genre((80, 100), MINOR, (4, 81, 11, 56), (4, 48, 0), (38, 39, 32),
                    {KICK: "1001000000100000", SNARE: BACKBEAT, CLOSED_HAT: "1010101010111010"},
                    swing=0.15, density=0.3),
    "jazz": Genre((100, 200), (0, 2, 3, 5, 7, 9, 10), (66, 56, 65, 26), (0, 26, 4), (32,),
                  {RIDE: "1000101010001010", KICK: "1000000000000000", PEDAL_HAT: BACKBEAT}, swing=0.33, density=0.6,
                  bass_step=4, bass_walk=(0, 7, 12, 4)),
    "metal": Genre((120, 190), MINOR, (30, 29), (30, 29), (34, 33),
                   {KICK: EIGHTHS, SNARE: BACKBEAT, OPEN_HAT: "1000100010001000"}, density=0.8, bass_step=2,
                   chord_step=4, chord_shape=(0, 7, 12)),
    "pop": Genre((90, 125), MAJOR, (81, 27, 11, 54), (0, 25, 50), (33, 38),
                 {KICK: "1000001010000000", SNARE: BACKBEAT, CLOSED_HAT: EIGHTHS}, density=0.45),
    "reggae": Genre((65, 95), (0, 2, 4, 5, 7, 9, 10), (16, 27, 57, 22), (27, 28, 17), (33, 35),
                    {KICK: "0000000010000000", STICK: "0000000010000000", CLOSED_HAT: EIGHTHS}, swing=0.1, density=0.35,
                    chord_step=8, chord_offset=4, chord_length=2),
    "rock": Genre((100, 150), (0, 2, 3, 5, 7, 9, 10), (29, 27, 30, 18), (29, 27, 18), (33, 34),
                  {KICK: "1000000010100000", SNARE: BACKBEAT, CLOSED_HAT: EIGHTHS}),
}

# the families of NSynth, as General MIDI programs
FAMILIES = {
    "bass": tuple(range(32, 40)),
    "brass": tuple(range(56, 64)),
    "flute": tuple(range(72, 80)),
    "guitar": tuple(range(24, 32)),
    "keyboard": tuple(range(0, 8)),
    "mallet": tuple(range(8, 16)),
    "organ": tuple(range(16, 24)),
    "reed": tuple(range(64, 72)),
    "string": (40, 41, 42, 43, 44, 48, 49, 110),
    "synth_lead": tuple(range(80, 88)),
    "vocal": (52, 53, 54, 85, 91),
}


class _Score:
    """A mix of notes; equal notes are rendered once."""

    def __init__(self, seconds: float) -> None:
        self._n = samples(seconds)
        self._wave = np.zeros(self._n)
        self._notes: dict[tuple, np.ndarray] = {}

    def put(self, program: int, key: int, gain: float, held: float, at: float, bank: int = 0) -> None:
        """Add one note of `held` seconds at `at` seconds."""
        held = round(held, 2)
        name = (program, key, held, bank)
        if name not in self._notes:
            self._notes[name] = sound_font().note(program, key, 100, held, held + 0.6, bank)
        add_at(self._wave, self._notes[name], samples(at), gain)

    def wave(self) -> np.ndarray:
        """The mix so far, `[seconds * 16000]`."""
        return self._wave


def tune(rng: np.random.Generator, genre_name: str, seconds: float) -> np.ndarray:
    """A tune of a genre, `[seconds * 16000]`: drums, bass, chords and lead, of which any may be missing."""
    genre = GENRES[genre_name]
    score = _Score(seconds)
    sixteenth = 15 / rng.uniform(*genre.tempo)
    root = int(rng.integers(40, 52))
    lead, chords, bass = choose(rng, genre.lead), choose(rng, genre.chords), choose(rng, genre.bass)
    degrees = genre.degrees or tuple(int(genre.scale[k]) for k in rng.choice(len(genre.scale), 4))
    shape = genre.chord_shape or (0, 4 if 4 in genre.scale else 3, 7)
    playing = rng.random(4) < (0.8, 0.8, 0.85, 0.85)
    playing[rng.integers(4)] = True
    has_lead, has_chords, has_bass, has_drums = playing
    rhythm = rng.random(16) < genre.density
    step = int(rng.integers(len(genre.scale)))
    for k in range(int(seconds / sixteenth)):
        at = (k + (genre.swing if k % 2 else 0)) * sixteenth
        degree = degrees[k // 16 % len(degrees)]
        for drum, pattern in genre.drums.items():
            if has_drums and pattern[k % 16] == "1":
                score.put(0, drum, rng.uniform(0.6, 1), 0.2, at, DRUM_BANK)
        if has_bass and k % genre.bass_step == 0:
            walk = genre.bass_walk[k // 4 % len(genre.bass_walk)]
            score.put(bass, root - 12 + degree + walk, 1.0, 3 * sixteenth, at)
        if has_chords and k % genre.chord_step == genre.chord_offset:
            for interval in shape:
                score.put(chords, root + 12 + degree + interval, 0.6, genre.chord_length * sixteenth, at)
        if has_lead and rhythm[k % 16] and rng.random() < 0.85:
            step = int(np.clip(step + rng.integers(-2, 3), 0, 2 * len(genre.scale) - 1))
            octave, degree_in_scale = divmod(step, len(genre.scale))
            key = root + 24 + 12 * octave + genre.scale[degree_in_scale]
            score.put(lead, key, rng.uniform(0.6, 1), sixteenth * int(rng.integers(1, 5)), at)
    return score.wave()
