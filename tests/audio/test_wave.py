"""Reading real files: formats, rates, parts, and the ways files are broken."""

import sys
import tarfile

import av
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m2d.audio.logmel import LogMel
from m2d.audio.wave import AudioError, audio_duration, audio_files, read_audio

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


def encode(path, codec, rate=44100):
    """Three seconds of a rising tone, left channel only, encoded by FFmpeg."""
    time = np.arange(3 * rate) / rate
    left = (0.3 * np.sin(2 * np.pi * (300 + 200 * time) * time)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([left, 0 * left]), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts = rate, 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        to_blocks = av.AudioResampler(format=stream.format.name, layout="stereo", rate=rate,
                                      frame_size=stream.frame_size or None)
        for block in [*to_blocks.resample(frame), *to_blocks.resample(None), None]:
            if block is None or block.samples:
                container.mux(stream.encode(block))
    return left


@pytest.mark.parametrize(("name", "codec", "rate", "exact"), [
    ("a.m4a", "aac", 44100, True), ("a.mp4", "aac", 44100, True), ("A.AAC", "aac", 44100, True),
    ("a.webm", "libopus", 48000, False), ("a.mka", "aac", 44100, False), ("aac named.wav", "aac", 44100, True)])
def test_what_ffmpeg_reads(tmp_path, name, codec, rate, exact):
    """Rate, channels and length; a part equals the slice of the whole, to the millisecond where that is the clock."""
    path = tmp_path / name
    inner = tmp_path / "inner.m4a" if name.endswith("wav") else path
    left = encode(inner, codec, rate)
    inner.rename(path)
    whole = read_audio(path, rate)
    assert len(whole) == pytest.approx(3 * rate, abs=0.05 * rate) and audio_duration(path) == pytest.approx(3, abs=0.05)
    delay = int(np.correlate(whole[:rate], left[4096:8192] / 2, "valid").argmax()) - 4096  # raw AAC keeps its priming
    assert abs(delay) <= (2048 if name == "A.AAC" else 1)
    assert len(read_audio(path)) == pytest.approx(3 * RATE, abs=0.05 * RATE)
    for start in (0.1, 1.25, 2.5):
        part, first = read_audio(path, rate, start=start, duration=0.3), round(start * rate)
        shifts = [0] if exact else range(-rate // 1000, rate // 1000 + 1)
        assert min(np.abs(part - whole[first + shift:first + shift + len(part)]).max() for shift in shifts) < 1e-6
        assert len(part) == round(0.3 * rate)
    with pytest.raises(AudioError, match=r"nothing at 4\.00 s|no samples at 4\.00 s"):
        read_audio(path, start=4.0)
    assert name in audio_files(tmp_path)


def test_an_entry_of_a_tar_goes_to_ffmpeg_too(tmp_path):
    encode(tmp_path / "a.m4a", "aac")
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(tmp_path / "a.m4a", "a.m4a")
    assert np.array_equal(read_audio(f"{tmp_path}/shard.tar::a.m4a", start=1.0, duration=0.5),
                          read_audio(tmp_path / "a.m4a", start=1.0, duration=0.5))


def test_broken_files_of_ffmpeg(tmp_path):
    encode(tmp_path / "whole.m4a", "aac")
    content = (tmp_path / "whole.m4a").read_bytes()
    for name, damaged in (("cut.m4a", content[:len(content) // 2]), ("text.m4a", b"hello " * 500),
                          ("list.webm", f"#EXTM3U\n{tmp_path}/whole.m4a\n".encode()),
                          ("concat.mp4", f"ffconcat version 1.0\nfile {tmp_path}/whole.m4a\n".encode())):
        path = tmp_path / name
        path.write_bytes(damaged)
        with pytest.raises(AudioError, match=r"not readable as audio|cut off|damaged") as caught:
            read_audio(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_without_the_binding_the_extra_is_named(tmp_path, monkeypatch):
    encode(tmp_path / "a.m4a", "aac")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioError, match=r"a\.m4a: .*pip install 'm2d\[ffmpeg\]'"):
        read_audio(tmp_path / "a.m4a")
    (tmp_path / "text.wav").write_text("hello " * 100)
    with pytest.raises(AudioError, match="not readable as audio"):
        read_audio(tmp_path / "text.wav")


@pytest.mark.parametrize("samples", [1, 2, 159])
def test_a_few_samples_are_audio(tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", np.full(samples, 0.5), RATE, subtype="FLOAT")
    assert np.array_equal(read_audio(tmp_path / "a.wav"), np.full(samples, 0.5, np.float32))
    assert LogMel()(torch.from_numpy(read_audio(tmp_path / "a.wav"))).isfinite().all()


@pytest.mark.parametrize("share", [2.0, 0.5])
def test_a_wav_header_that_lies(tmp_path, share):
    """A stream's header does not know the length: what is there is read; a part of it where less is promised."""
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(), RATE, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[40:44] = int(share * 2 * RATE).to_bytes(4, "little")
    path.write_bytes(content)
    samples = read_audio(path)
    assert len(samples) == RATE * min(share, 1) and np.abs(samples - tone()[:len(samples)]).max() < 1e-4


def test_what_may_not_be_read_is_said(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", tone(), RATE)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(AudioError, match="permissions do not let it be read"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("name, frame, samples", [("a.g722", 4, 8), ("A.GSM", 33, 160)])
def test_sound_without_a_header_is_told_by_its_name(name, frame, samples, tmp_path):
    """Also where its first bytes look like another format's."""
    rate = 16000 if name == "a.g722" else 8000
    content = b"\x00\x00\x01\xba" * 33 * 30 if name == "a.g722" else (b"\xd0" + b"\x00\x00\x01\xba" * 8) * 120
    (tmp_path / name).write_bytes(content)
    seconds = len(content) // frame * samples / rate
    assert audio_duration(tmp_path / name) == pytest.approx(seconds, abs=0.03)
    assert len(read_audio(tmp_path / name)) == pytest.approx(16000 * seconds, abs=500)
