"""Reading real files: formats, rates, parts, and the ways files are broken."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from m2d.audio.wave import AudioError, audio_duration, read_audio

RATE = 16000


def tone(seconds=1.0, rate=RATE, frequency=440.0):
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture(scope="module")
def flac(tmp_path_factory):
    path = tmp_path_factory.mktemp("audio") / "a.flac"
    soundfile.write(path, np.arange(2 * RATE, dtype=np.int16), RATE)
    return path


def test_mono_16k_is_read_as_it_is(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), RATE, subtype="FLOAT")
    samples = read_audio(tmp_path / "a.wav")
    assert samples.dtype == np.float32 and np.array_equal(samples, tone())
    assert audio_duration(tmp_path / "a.wav") == 1.0


@settings(max_examples=25, deadline=None)
@given(start=st.integers(0, 2 * RATE - 1), count=st.integers(1, 3 * RATE))
def test_any_part_equals_the_slice_of_the_whole(flac, start, count):
    whole = read_audio(flac)
    assert np.array_equal(read_audio(flac, start=start / RATE, duration=count / RATE), whole[start:start + count])


@pytest.mark.parametrize("name, subtype", [("a.wav", "PCM_24"), ("a.wav", "PCM_U8"), ("a.flac", "PCM_16"),
                                           ("a.ogg", "VORBIS"), ("a.mp3", "MPEG_LAYER_III"), ("a.aiff", "PCM_16")])
def test_stereo_44k_of_any_depth_becomes_mono_16k(tmp_path, name, subtype):
    left, right = tone(2.0, 44100), np.zeros(88200, np.float32)
    soundfile.write(tmp_path / name, np.stack([left, right], axis=1), 44100, subtype=subtype)
    samples = read_audio(tmp_path / name)
    assert len(samples) == pytest.approx(2 * RATE, abs=RATE * 0.1)
    middle = samples[RATE // 2: RATE]
    assert np.sqrt(np.mean(middle ** 2)) == pytest.approx(0.15 / np.sqrt(2), rel=0.05)
    peak = np.abs(np.fft.rfft(middle)).argmax() * RATE / len(middle)
    assert peak == pytest.approx(440, abs=3)


def test_opus(tmp_path):
    soundfile.write(tmp_path / "a.opus", tone(1.0, 48000), 48000, format="OGG", subtype="OPUS")
    assert len(read_audio(tmp_path / "a.opus")) == pytest.approx(RATE, abs=200)


def cut_off(path, share):
    path.write_bytes(path.read_bytes()[:int(path.stat().st_size * share)])


def broken(tmp_path, kind):
    """One file of each kind of damage."""
    rng = np.random.default_rng(0)
    path = tmp_path / ("a.wav" if kind in {"zero bytes", "no samples", "text", "nan", "folder", "absent"} else kind)
    if kind == "zero bytes":
        path.touch()
    elif kind == "no samples":
        soundfile.write(path, np.zeros(0), RATE)
    elif kind == "text":
        path.write_text("not found\n" * 100)
    elif kind == "nan":
        soundfile.write(path, np.array([0.0, np.nan], np.float32), RATE, subtype="FLOAT")
    elif kind == "folder":
        path.mkdir()
    elif kind != "absent":
        soundfile.write(path, rng.normal(0, 0.1, 4 * RATE).clip(-1, 1), RATE)
        cut_off(path, 0.5)
    return path


@pytest.mark.parametrize("kind, words", [
    ("absent", "no such audio file"), ("folder", "no such audio file"), ("zero bytes", "empty file"),
    ("no samples", "no samples"), ("text", "not readable as audio"), ("nan", "not finite"),
    ("cut.flac", "damaged audio|cut off"), ("cut.mp3", "cut off"),
])
def test_broken_files_are_named_with_the_reason(tmp_path, kind, words):
    path = broken(tmp_path, kind)
    with pytest.raises(AudioError, match=words) as error:
        read_audio(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_start_beyond_the_end(flac):
    with pytest.raises(AudioError, match=r"has 2\.00 s of audio, nothing at 2\.50 s"):
        read_audio(flac, start=2.5)
