"""Audio inside larger files reads as the plain file does."""

import io
import tarfile

import datasets
import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile

from m2d.audio.containers import reference, split_reference
from m2d.audio.wave import AudioError, audio_duration, read_audio

RATE = 22050


@pytest.fixture(scope="module")
def flacs():
    """Three FLAC files of other lengths, by key."""
    rng = np.random.default_rng(0)
    made = {}
    for i in range(3):
        stream = io.BytesIO()
        soundfile.write(stream, 0.1 * rng.standard_normal((RATE + 1000 * i, 2)), RATE, format="FLAC")
        made[f"utt{i}"] = stream.getvalue()
    return made


@pytest.fixture(scope="module")
def containers(flacs, tmp_path_factory):
    """The same three in each kind of container: a function from a key to its reference, by kind."""
    folder = tmp_path_factory.mktemp("containers")
    with tarfile.open(folder / "x.tar", "w") as archive:
        for key, content in flacs.items():
            info = tarfile.TarInfo(f"deep/{key}.flac")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    cells = [{"bytes": content, "path": f"{key}.flac"} for key, content in flacs.items()]
    pyarrow.parquet.write_table(pyarrow.table({"audio": cells, "wav": list(flacs.values())}), folder / "x.parquet",
                                row_group_size=2)
    datasets.Dataset.from_dict({"audio": cells}).cast_column("audio", datasets.Audio()).save_to_disk(folder / "x")
    with h5py.File(folder / "x.h5", "w") as file:
        for key, content in flacs.items():
            file[f"deep/{key}"] = np.frombuffer(content, np.uint8)
            samples, _ = soundfile.read(io.BytesIO(content), dtype="int16")
            file[f"samples/{key}"] = samples.T  # channels first
            file[f"samples/{key}"].attrs["sampling_rate"] = RATE
    return {"tar": lambda key: reference(folder / "x.tar", f"deep/{key}.flac"),
            "parquet": lambda key: reference(folder / "x.parquet", f"audio:{key[3:]}"),
            "parquet of bytes": lambda key: reference(folder / "x.parquet", f"wav:{key[3:]}"),
            "datasets": lambda key: reference(folder / "x", f"audio:{key[3:]}"),
            "hdf5": lambda key: reference(folder / "x.h5", f"deep/{key}"),
            "hdf5 samples": lambda key: reference(folder / "x.h5", f"samples/{key}")}


@pytest.mark.parametrize("kind", ["tar", "parquet", "parquet of bytes", "datasets", "hdf5", "hdf5 samples"])
def test_an_entry_reads_as_the_plain_file(kind, containers, flacs, tmp_path):
    for key in ("utt2", "utt0", "utt1"):
        plain = tmp_path / f"{key}.flac"
        plain.write_bytes(flacs[key])
        source = containers[kind](key)
        assert audio_duration(source) == audio_duration(plain)
        np.testing.assert_allclose(read_audio(source, 16000, 0.1, 0.5), read_audio(plain, 16000, 0.1, 0.5), atol=1e-4)


@pytest.mark.parametrize("kind", ["tar", "parquet", "datasets", "hdf5"])
def test_an_entry_that_is_not_there_is_named(kind, containers):
    with pytest.raises(AudioError, match=r"x(\.\w+)?: has no entry '.*9"):
        read_audio(containers[kind]("utt9"))


def test_what_can_not_be_read_is_named(containers, tmp_path):
    (tmp_path / "y.tar").write_bytes(b"no tar" * 500)
    (tmp_path / "y.txt").write_text("text")
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["bare"] = np.zeros(100, np.float32)
        file["encoded"] = np.zeros(100, np.uint8)
    for source, said in ((f"{tmp_path}/y.tar::a.wav", "y.tar: entry 'a.wav' can't be read"),
                         (f"{tmp_path}/none.tar::a.wav", "none.tar: no such file"),
                         (f"{tmp_path}/y.txt::a.wav", "entries can be read of .tar"),
                         (f"{tmp_path}/y.h5::bare", "expected an encoded file"),
                         (f"{tmp_path}/y.h5::encoded", "y.h5::encoded: not readable as audio"),
                         (containers["parquet"]("utt0").replace("audio:", "text:"), "has no entry 'text:0'")):
        with pytest.raises(AudioError, match=said.replace(".", r"\.")):
            read_audio(source)


def test_a_changed_container_is_read_anew(flacs, tmp_path):
    for key in ("utt0", "utt1"):
        with tarfile.open(tmp_path / "x.tar", "w") as archive:
            info = tarfile.TarInfo("a.flac")
            info.size = len(flacs[key])
            archive.addfile(info, io.BytesIO(flacs[key]))
        assert audio_duration(f"{tmp_path}/x.tar::a.flac") == pytest.approx((RATE + 1000 * int(key[3:])) / RATE)


def test_a_plain_file_with_the_mark_in_its_name(tmp_path):
    path = tmp_path / "a::b.wav"
    soundfile.write(path, np.zeros(100), 16000)
    assert split_reference(path) is None and len(read_audio(path)) == 100
