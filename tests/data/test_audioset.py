"""AudioSet in the forms that people have it in: one oddity a test, up to the samples of each clip."""

import io
import tarfile

import av
import h5py
import numpy as np
import pyarrow
import pytest
import soundfile
from pyarrow import parquet

from m2d.audio.wave import read_audio
from m2d.common.errors import UserError
from m2d.data.corpora.audioset import read_audioset
from m2d.data.corpora.prepare import PrepareConfig, prepare
from m2d.data.datadir import DataDir

HEAD = ("# Segments csv created Sun Mar  5 10:54:31 2017\n# num_ytids=2, num_segs=2\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n")
IDS = {"balanced_train": ["--PJHxphWEs", "Y1234567890"], "unbalanced_train": ["-0p7hKXZ1ww", "_0p7hKXZ1w-"],
       "eval": ["--4gqARaEJE"]}
TRAIN = ["balanced_train", "unbalanced_train"]


def sound(seconds=10.0, rate=16000, channels=1, frequency=440.0):
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * frequency * time)
    return wave if channels == 1 else np.stack([wave] * channels, axis=1)


def encoded(kind="FLAC", **of):
    stream = io.BytesIO()
    soundfile.write(stream, sound(**of), of.get("rate", 16000), format=kind)
    return stream.getvalue()


def write(path, **of):
    """A clip in the format of the path's ending: by libsndfile, or by FFmpeg where that alone knows it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix not in (".m4a", ".webm"):
        soundfile.write(path, sound(**of), of.get("rate", 16000), format="OGG" if path.suffix == ".opus" else None,
                        subtype="OPUS" if path.suffix == ".opus" else None)
        return
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac" if path.suffix == ".m4a" else "libopus", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound(rate=48000).astype(np.float32)[None], format="fltp", layout="mono")
        frame.rate = 48000
        resampler = av.AudioResampler(stream.format, "mono", 48000, frame_size=stream.frame_size)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(part))


@pytest.fixture
def root(tmp_path):
    for part, ids in IDS.items():
        (tmp_path / f"{part}_segments.csv").write_text(
            HEAD + "".join(f'{video}, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n' for video in ids))
    return tmp_path


def check(data, expected):
    """The utterances, and that each gives its ten seconds."""
    assert data.utterances == sorted(f"Y{video}" for video in expected)
    for path in data.wav.values():
        assert len(read_audio(path)) == pytest.approx(160_000, abs=1600), path


@pytest.mark.parametrize("name", [
    "--PJHxphWEs", "Y--PJHxphWEs", "--PJHxphWEs_30", "Y--PJHxphWEs_30_40", "Y--PJHxphWEs_30.000_40.000",
    "--PJHxphWEs_30000_40000", "--PJHxphWEs_000030"])
def test_a_leading_dash_a_y_and_times_in_the_name(root, name):
    write(root / "wav" / f"{name}.wav")
    check(read_audioset(root, TRAIN), ["--PJHxphWEs"])


@pytest.mark.parametrize("name", ["Y1234567890", "YY1234567890", "YY1234567890_30.000_40.000"])
def test_an_id_that_begins_with_y_is_no_prefix(root, name):
    write(root / f"{name}.wav")
    check(read_audioset(root, TRAIN), ["Y1234567890"])


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "opus", "mp3", "m4a", "webm"])
def test_formats(root, ending):
    write(root / f"Y-0p7hKXZ1ww.{ending}", **({"rate": 48000} if ending == "opus" else {}))
    check(read_audioset(root, TRAIN), ["-0p7hKXZ1ww"])


@pytest.mark.parametrize("rate, channels", [(16000, 1), (22050, 2), (32000, 1), (44100, 2), (48000, 2), (48000, 6)])
def test_rates_and_channels(root, rate, channels):
    write(root / "_0p7hKXZ1w-.wav", rate=rate, channels=channels)
    check(read_audioset(root, TRAIN), ["_0p7hKXZ1w-"])


def test_a_clip_in_the_folders_of_its_classes_is_one(root, caplog):
    caplog.set_level("INFO")
    for folder in ("Speech", "Gush, flow", "Dog/Bark"):
        write(root / folder / "--PJHxphWEs_30.wav")
    write(root / "Speech" / "--PJHxphWEs_30.flac")
    check(read_audioset(root, TRAIN), ["--PJHxphWEs"])
    assert "3 are clips that were found before" in caplog.text


def test_three_lists_one_of_them_elsewhere_and_clips_of_another_part(root, caplog):
    caplog.set_level("INFO")
    for video in ("--PJHxphWEs", "_0p7hKXZ1w-", "--4gqARaEJE"):
        write(root / "audio" / f"{video}.flac")
    check(read_audioset(root / "audio", TRAIN, metadata=root), ["--PJHxphWEs", "_0p7hKXZ1w-"])
    assert "balanced_train: 1 of 2 official" in caplog.text and "1 files belong to none of" in caplog.text
    check(read_audioset(root, [*TRAIN, "eval"]), ["--PJHxphWEs", "_0p7hKXZ1w-", "--4gqARaEJE"])


def test_tar_packs(root):
    with tarfile.open(root / "bal_train00.tar", "w") as archive:
        for name in ("audio/bal_train/--PJHxphWEs.flac", "audio/bal_train/Y1234567890.flac", "readme.txt"):
            content = encoded()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    check(read_audioset(root, TRAIN), IDS["balanced_train"])


def test_parquet_packs(root):
    rows = [{"video_id": video, "audio": {"bytes": encoded(), "path": f"{video}.flac"}} for video in IDS["eval"]]
    parquet.write_table(pyarrow.Table.from_pylist(rows), root / "00.parquet")
    check(read_audioset(root, ["eval"]), IDS["eval"])


def test_hdf5_packs_of_samples(root):
    with h5py.File(root / "unbalanced_train_part00.h5", "w") as pack:
        pack.attrs["sample_rate"] = 32000
        pack["audio_name"] = np.array([f"Y{video}.wav".encode() for video in IDS["unbalanced_train"]])
        pack["waveform"] = np.stack([(sound(rate=32000) * 32767).astype(np.int16)] * 2)
        pack["target"] = np.zeros((2, 527), bool)
    check(read_audioset(root, TRAIN), IDS["unbalanced_train"])


def test_hdf5_packs_of_mp3(root):
    with h5py.File(root / "balanced_train_segments_mp3.hdf", "w") as pack:
        pack["audio_name"] = np.array([b"Y--PJHxphWEs.mp3"])
        rows = pack.create_dataset("mp3", (1,), dtype=h5py.vlen_dtype(np.uint8))
        rows[0] = np.frombuffer(encoded("MP3"), np.uint8)
    check(read_audioset(root, TRAIN), ["--PJHxphWEs"])


def test_hdf5_with_a_dataset_a_clip(root):
    with h5py.File(root / "eval.hdf5", "w") as pack:
        pack["eval/--4gqARaEJE"] = np.frombuffer(encoded(), np.uint8)
    check(read_audioset(root, ["eval"]), IDS["eval"])


def test_a_broken_pack_is_named_and_the_others_are_read(root, caplog):
    (root / "a.tar").write_bytes(b"no tar" * 200)
    (root / "b.h5").write_bytes(b"no HDF5")
    parquet.write_table(pyarrow.table({"video_id": ["--4gqARaEJE"]}), root / "c.parquet")
    write(root / "--4gqARaEJE.wav")
    check(read_audioset(root, ["eval"]), IDS["eval"])
    assert all(f"{root}/{name}: left out with all its clips" in caplog.text for name in ("a.tar", "b.h5", "c.parquet"))


def test_missing_clips_and_other_lengths_are_shown_beside_the_published_numbers(root, tmp_path, caplog):
    caplog.set_level("INFO")
    write(root / "clips" / "--PJHxphWEs.wav", seconds=3.0)
    write(root / "clips" / "-0p7hKXZ1ww.wav", seconds=33.0)
    (root / "clips" / "_0p7hKXZ1w-.wav").write_bytes(b"a download that failed")
    prepare(PrepareConfig("audioset", str(root), str(tmp_path / "data"), TRAIN))
    data = DataDir.read(tmp_path / "data")
    assert data.utt2dur == {"Y--PJHxphWEs": 3.0, "Y-0p7hKXZ1ww": 33.0} and len(data) == 3
    assert "balanced_train: 1 of 2 official clips are there" in caplog.text
    assert "_0p7hKXZ1w-.wav: not readable as audio" in caplog.text
    assert "3 recordings: faults: 1; the rest is used" in caplog.text
    assert "3 utterances (published: 2,063,949), 0.0 h: DIFFERENT from the published corpus" in caplog.text
    assert "2 of 2 recordings are not 10 s long (0.5 s more or less): from 3.0 to 33.0 s" in caplog.text


def test_nothing_there(root):
    with pytest.raises(UserError, match=r"none of the 4 clips of balanced_train, unbalanced_train is there; expected"):
        read_audioset(root, TRAIN)
    with pytest.raises(UserError, match="no such folder"):
        read_audioset(root / "none", TRAIN, metadata=root)
