"""Sounds, notes, rooms and phones: the parts that make audio."""

import numpy as np
import pytest
from mini_corpus import espeak, soundfont
from mini_corpus.acoustics import Recording, colour, record_speech
from mini_corpus.dsp import SAMPLE_RATE, fit_length, generator, tone
from mini_corpus.music import GENRES, tune
from mini_corpus.phones import SILENCE, arpabet, pronunciation, timed_phones
from mini_corpus.prosody import EMOTIONS, ssml
from mini_corpus.sounds import SOUNDS
from mini_corpus.speakers import voice

from m2d.common.errors import UserError


@pytest.mark.parametrize("name", SOUNDS)
def test_a_sound_has_its_length_is_heard_and_comes_from_its_generator_alone(name):
    one, again, other = (SOUNDS[name](generator(name, k), 3 * SAMPLE_RATE) for k in (0, 0, 1))
    assert one.shape == (3 * SAMPLE_RATE,) and np.isfinite(one).all() and one.std() > 1e-4
    assert np.array_equal(one, again) and not np.array_equal(one, other)


@pytest.mark.parametrize("program, key", [(16, 57), (73, 69), (40, 64)])
def test_a_note_has_the_pitch_of_its_key(program, key):
    wave = soundfont.sound_font().note(program, key, 100, held=1.0, total=1.2)
    assert wave.shape == (int(1.2 * SAMPLE_RATE),)
    steady = wave[4800:12800] * np.hanning(8000)
    spectrum = np.abs(np.fft.rfft(steady, 1 << 18))
    expected = 440 * 2 ** ((key - 69) / 12)
    band = np.arange(len(spectrum)) * SAMPLE_RATE / (1 << 18)
    near = (band > expected * 0.8) & (band < expected * 1.25)
    found = band[near][spectrum[near].argmax()]
    assert abs(12 * np.log2(found / expected)) < 0.3


def test_a_tune_is_heard_in_every_genre():
    for genre in GENRES:
        wave = tune(generator(genre), genre, 2.0)
        assert wave.shape == (2 * SAMPLE_RATE,) and wave.std() > 1e-4


def test_a_file_that_is_no_sound_font_is_named(tmp_path):
    (tmp_path / "x.sf2").write_bytes(b"RIFF0000WAVE")
    with pytest.raises(UserError, match=r"x\.sf2: not a SoundFont"):
        soundfont.SoundFont(tmp_path / "x.sf2")


def test_a_recording_keeps_length_and_says_how_much_later_speech_starts():
    rng = generator("recording")
    speech = np.zeros(SAMPLE_RATE)
    speech[4000:8000] = tone(1000, 4000)
    plain, none = record_speech(speech, Recording("room", snr=(60, 60)), rng)
    assert plain.shape == speech.shape and none == 0
    late, later = record_speech(speech, Recording("room", snr=(60, 60), margin=(0.3, 0.3)), rng)
    assert later == pytest.approx(0.3, abs=1e-3) and len(late) == SAMPLE_RATE + 2 * int(0.3 * SAMPLE_RATE)
    first = np.flatnonzero(np.abs(late) > 0.2 * np.abs(late).max())[0] / SAMPLE_RATE
    assert first == pytest.approx(0.25 + later, abs=0.01)


def test_fit_length_cuts_and_pads():
    rng = generator("fit")
    assert np.array_equal(fit_length(np.arange(5), 3, rng), [0, 1, 2])
    padded = fit_length(np.ones(5), 9, rng)
    assert len(padded) == 9 and padded.sum() == 5


def test_mnemonics_carry_stress_and_split():
    assert arpabet("'oU") == ["OW1"] and arpabet(",i:") == ["IY2"] and arpabet("tS") == ["CH"]
    assert arpabet("'A@") == ["AA1", "R"] and arpabet("_:") == [SILENCE] and arpabet(";") == []
    timed = timed_phones([(0.0, "D"), (0.1, "'A@"), (0.3, ";"), (0.35, "_:"), (0.5, "_")])
    assert [phone for *_, phone in timed] == ["DH", "AA1", "R", SILENCE]
    assert np.allclose([start for start, *_ in timed], [0.0, 0.1, 0.2, 0.35])
    assert np.allclose([length for _, length, _ in timed], [0.1, 0.1, 0.15, 0.15])
    assert pronunciation([(0, "D"), (0.1, "@"), (0.2, "_")]) == ["DH", "AH1"]


def test_emotions_differ_in_contour():
    def pitches(emotion):
        text = ssml("one two three four five six", EMOTIONS[emotion], generator("prosody"))
        return [int(part.split("%")[0]) for part in text.split('pitch="')[1:]]

    assert pitches("sad")[0] > pitches("sad")[-1] + 15
    assert pitches("fearful")[-1] > pitches("fearful")[0] + 5
    assert "<break" in ssml("one two three four five six", EMOTIONS["angry"], generator("prosody"))


def test_without_pico_its_speakers_are_espeaks(monkeypatch):
    monkeypatch.setattr("mini_corpus.nanotts.available", lambda: True)
    assert voice(4).engine == "pico" and voice(4, espeak_only=True).engine == "espeak"
    monkeypatch.setattr("mini_corpus.nanotts.available", lambda: False)
    assert voice(4).engine == "espeak"


def test_without_espeak_the_way_to_install_it_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'm2d\[minicorpus\]'"):
        espeak.require()


def test_colour_changes_the_frequencies_asked_for_and_no_others():
    low, high = tone(300, SAMPLE_RATE), tone(4000, SAMPLE_RATE)
    assert np.allclose(colour(low + high, np.zeros(16)), low + high, atol=1e-9)
    gains = np.where(np.arange(16) < 8, 0.0, 20.0)
    assert np.allclose(colour(low + high, gains)[400:-400], (low + 10 * high)[400:-400], atol=0.05)
