"""The files of a set. An item holds everything needed to make its file, so that any process can make it alone."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from m2d.common.files import write_text
from mini_corpus import espeak
from mini_corpus.acoustics import Recording, record_music, record_scene, record_speech
from mini_corpus.dsp import SAMPLE_RATE, fit_length, generator, log_uniform, samples, unit_peak, unit_rms
from mini_corpus.music import tune
from mini_corpus.ogg import fix_serial
from mini_corpus.phones import pronunciation
from mini_corpus.prosody import EMOTIONS, NEUTRAL
from mini_corpus.soundfont import sound_font
from mini_corpus.sounds import SOUNDS
from mini_corpus.speakers import voice
from mini_corpus.speech import espeak_engine, speak


@dataclass(frozen=True)
class Made:
    """One file made: its duration in seconds (0 for a table) and lines for tables that are collected over the set."""

    seconds: float
    lines: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class AudioItem:
    """A sound file at `path`, relative to the set's folder; all its randomness comes from that path."""

    path: str

    @property
    def speakers(self) -> tuple[int, ...]:
        """Indices of the speakers heard in it."""
        return ()

    def render(self) -> tuple[np.ndarray, dict[str, list[str]]]:
        """The waveform [N] and lines for collected tables."""
        raise NotImplementedError

    def make(self, root: Path) -> Made:
        """Render and write the file below the set's folder, 16-bit at 16 kHz in the format of its suffix."""
        wave, lines = self.render()
        path = root / self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        is_ogg = path.suffix == ".ogg"
        soundfile.write(path, wave, SAMPLE_RATE, subtype="VORBIS" if is_ogg else "PCM_16")
        if is_ogg:
            fix_serial(path)
        return Made(len(wave) / SAMPLE_RATE, lines)


@dataclass(frozen=True)
class Utterance(AudioItem):
    """A speaker's utterance.

    `emotion` is a key of `EMOTIONS` or empty; `seconds` fixes the length (0: as long as it is); `language` is one of
    espeak-ng's; `alignment` names the table of the phone times, if the engine has them.
    """

    speaker: int
    text: str
    recording: Recording
    emotion: str = ""
    seconds: float = 0.0
    language: str | None = None
    alignment: str = ""

    @property
    def speakers(self) -> tuple[int, ...]:
        """The one speaker."""
        return (self.speaker,)

    def render(self) -> tuple[np.ndarray, dict[str, list[str]]]:
        rng = generator(self.path, self.text)
        style = EMOTIONS[self.emotion] if self.emotion else NEUTRAL
        who = voice(self.speaker, espeak_only=bool(self.emotion), language=self.language)
        spoken = speak(who, self.text, rng, style, timed=bool(self.alignment))
        wave = fit_length(spoken.wave, samples(self.seconds), rng) if self.seconds else spoken.wave
        wave, later = record_speech(wave, self.recording, rng)
        if not self.alignment or spoken.phones is None:
            return wave, {}
        name = Path(self.path).stem
        lines = [
            f"{name} 1 {start + later:.3f} {length:.3f} {phone.rstrip('012')}" for start, length, phone in spoken.phones
        ]
        return wave, {self.alignment: lines}


@dataclass(frozen=True)
class Source:
    """One thing heard in a scene: `kind` sound | music | speech; `name` the sound, genre or text."""

    kind: str
    name: str
    speaker: int = -1


@dataclass(frozen=True)
class Scene(AudioItem):
    """Sources mixed at random levels, then recorded. The first is the loudest where `background` (dB) is given."""

    sources: tuple[Source, ...]
    seconds: float
    background: tuple[float, float] | None = None

    @property
    def speakers(self) -> tuple[int, ...]:
        """The speakers of its speech sources."""
        return tuple(source.speaker for source in self.sources if source.kind == "speech")

    def render(self) -> tuple[np.ndarray, dict[str, list[str]]]:
        rng = generator(self.path)
        total = np.zeros(samples(self.seconds))
        for k, source in enumerate(self.sources):
            if self.background is None:
                gain = log_uniform(rng, 0.2, 1)
            else:
                gain = 1.0 if k == 0 else 10 ** (-rng.uniform(*self.background) / 20)
            total += gain * unit_rms(_source_wave(source, rng, len(total)))
        return record_scene(total, rng), {}


def _source_wave(source: Source, rng: np.random.Generator, n: int) -> np.ndarray:
    if source.kind == "music":
        return tune(rng, source.name, n / SAMPLE_RATE)
    if source.kind == "speech":
        return fit_length(speak(voice(source.speaker), source.name, rng).wave, n, rng)
    return SOUNDS[source.name](rng, n)


@dataclass(frozen=True)
class Noise(AudioItem):
    """A quiet sound alone, for background noise and the class silence."""

    sound: str
    seconds: float

    def render(self) -> tuple[np.ndarray, dict[str, list[str]]]:
        rng = generator(self.path)
        wave = unit_peak(SOUNDS[self.sound](rng, samples(self.seconds)))
        return (wave * log_uniform(rng, 0.02, 0.3)).astype(np.float32), {}


@dataclass(frozen=True)
class Note(AudioItem):
    """One note of a General MIDI program, held for three quarters of the file."""

    program: int
    key: int
    velocity: int
    seconds: float

    def render(self) -> tuple[np.ndarray, dict[str, list[str]]]:
        wave = sound_font().note(self.program, self.key, self.velocity, 0.75 * self.seconds, self.seconds)
        return record_music(wave, generator(self.path)), {}


@dataclass(frozen=True)
class Tune(AudioItem):
    """A tune of a genre."""

    genre: str
    seconds: float

    def render(self) -> tuple[np.ndarray, dict[str, list[str]]]:
        rng = generator(self.path)
        return record_music(tune(rng, self.genre, self.seconds), rng), {}


@dataclass(frozen=True)
class Lexicon:
    """A pronunciation lexicon `WORD PH PH ...` of the words, as espeak-ng's American English says each alone."""

    path: str
    words: tuple[str, ...]
    speakers: tuple[int, ...] = ()

    def make(self, root: Path) -> Made:
        """Write the table."""
        lines = []
        for word in self.words:
            _, events = espeak_engine().say(word, "en-us", rate=170, pitch=50, pitch_range=50)
            lines.append(f"{word.upper()} {' '.join(pronunciation(events))}\n")
        write_text(root / self.path, "".join(lines))
        return Made(0.0)


Item = AudioItem | Lexicon


def needs_espeak(items: list[Item]) -> bool:
    """Whether any of the items is spoken."""
    return any(
        isinstance(item, Lexicon | Utterance)
        or (isinstance(item, Scene) and any(s.kind == "speech" for s in item.sources))
        for item in items
    )


def require_engines(items: list[Item]) -> None:
    """Raise `UserError` with the command that installs what is missing for these items."""
    if needs_espeak(items):
        espeak.require()
    if any(isinstance(item, Note | Tune | Scene) for item in items):
        sound_font()
