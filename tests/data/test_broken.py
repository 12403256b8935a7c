"""Sixty broken things: each is told in one line, the good rest goes through stages 0 and 1, and the counts add up."""

import gzip
import io
import json
import os
import tarfile

import h5py
import numpy as np
import pyarrow
import pytest
import soundfile
from pyarrow import parquet

from m2d.common.errors import UserError
from m2d.data.corpora.prepare import PrepareConfig, prepare
from m2d.data.datadir import DataDir
from m2d.data.datadir_tools import faults, fix
from m2d.data.extract import JobOptions, extract_logmel
from m2d.data.merge import merge_index

RATE = 16000
WAVE = 0.1 * np.random.default_rng(0).standard_normal(RATE // 2)


def sound(kind="WAV", wave=WAVE, subtype=None, rate=RATE):
    stream = io.BytesIO()
    soundfile.write(stream, wave, rate, format=kind, subtype=subtype)
    return stream.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def patched(content, at, value):
    return content[:at] + value + content[at + len(value):]


NOT_A_NUMBER = np.where(np.arange(len(WAVE)) == 4000, np.nan, WAVE)
WAV, FLAC, OGG = sound(), sound("FLAC"), sound("OGG")
UNREADABLE = "not readable as audio"
FILES = {  # name of the file: its content, what is said of it
    "text.wav": (b"not audio", UNREADABLE), "empty.wav": (b"", "empty file"),
    "zeros.wav": (bytes(4000), UNREADABLE), "header.wav": (WAV[:44], "cut off|no samples|not readable"),
    "half.wav": (WAV[:30], UNREADABLE), "nan.wav": (sound("WAV", NOT_A_NUMBER, "FLOAT"), "not finite"),
    "inf.wav": (sound("WAV", np.where(np.isnan(NOT_A_NUMBER), np.inf, WAVE), "FLOAT"), "not finite"),
    "none.wav": (sound("WAV", WAVE[:0]), "no samples"),
    "rate0.wav": (patched(WAV, 24, bytes(4)), "not readable|damaged"),
    "codec.wav": (patched(WAV, 20, b"\x34\x12"), UNREADABLE),
    "channels.wav": (patched(WAV, 22, b"\x00\x00"), "damaged audio|not readable"),
    "cut.flac": (FLAC[:len(FLAC) // 2], "damaged audio|cut off|not readable"),
    "middle.flac": (patched(FLAC, len(FLAC) // 2, bytes(3000)), "damaged audio|cut off"),
    "magic.flac": (patched(FLAC, 0, b"XXXX"), "damaged audio|not readable"),
    "page.flac": (b"<html>404</html>", "not readable"),
    "cut.ogg": (OGG[:60], UNREADABLE), "text.ogg": (b"OggS but no more", UNREADABLE),
    "text.mp3": (b"ID3 and then nothing", UNREADABLE), "text.opus": (b"\x00" * 99, UNREADABLE),
    "text.m4a": (b"....ftypM4A ", UNREADABLE), "text.webm": (b"\x1a\x45\xdf\xa3no", UNREADABLE),
    "text.aac": (b"none", UNREADABLE), "text.aiff": (b"FORM....AIFF", UNREADABLE),
    "text.au": (b".snd....", UNREADABLE), "text.sph": (b"NIST_1A\n", UNREADABLE),
    "picture.wav": (b"\x89PNG\r\n\x1a\n" + bytes(200), UNREADABLE),
    "packed.wav": (gzip.compress(WAV), UNREADABLE), "utf16.wav": ("text".encode("utf-16"), "not readable"),
    "flac.wav_in_json.wav": (json.dumps({"audio": "x"}).encode(), UNREADABLE),
    "twice.wav": (WAV[:20] + WAV, "not readable as audio|cut off|damaged"),
    "text.g722": (b"", "empty file"), "text.gsm": (b"ab", "damaged audio|not readable|no samples"),
    "snd.snd.wav": (b".snd" + bytes(3), UNREADABLE), "text.oga": (b"OggS", UNREADABLE),
}


def stages(root, out, corpus="folder", **options):
    """Stages 0 and 1: utterances prepared, made into features, failed, and the list of failures."""
    prepare(PrepareConfig(corpus, str(root), str(out / "data"), **options))
    data = DataDir.read(out / "data")
    extract_logmel(data, JobOptions(str(out / "data"), str(out / "logmel"), max_bad_share=1.0))
    merge_index(out / "logmel", max_bad_share=1.0)
    failed = (out / "logmel/logmel.1.failed").read_text().splitlines()
    return len(data), len((out / "logmel/index").read_text().splitlines()), len(failed), "\n".join(failed)


@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_among_good_ones(name, tmp_path):
    content, words = FILES[name]
    for good in ("a.wav", "b/c.flac", "d.ogg"):
        write(tmp_path / "in" / good, sound(good.rpartition(".")[2].upper()))
    write(tmp_path / "in" / name, content)
    prepared, made, failed, said = stages(tmp_path / "in", tmp_path)
    assert (prepared, made, failed) == (4, 3, 1), said
    assert name.rpartition(".")[0] in said and any(word in said for word in words.split("|")), said


@pytest.mark.parametrize("make, words", [
    (lambda p: p.symlink_to("nowhere.wav"), "no such audio file"), (lambda p: p.symlink_to(p), "no such audio file"),
    (lambda p: os.mkfifo(p), "no such audio file")], ids=["dangling link", "link to itself", "pipe"])
def test_what_is_no_file(make, words, tmp_path):
    write(tmp_path / "in/a.wav", WAV)
    make(tmp_path / "in/x.wav")
    assert stages(tmp_path / "in", tmp_path)[:3] == (2, 1, 1)
    assert words in (tmp_path / "logmel/logmel.1.failed").read_text()


TABLES = {  # what is broken: changes to the tables (None: the file goes), what is said, utterances left by mending
    "the path of one is wrong": ({"wav.scp": "a {a}\nb {b}\nc /none.wav\n"}, None, 3),
    "an id twice": ({"wav.scp": "a {a}\na {b}\nb {b}\nc {c}\n"}, "wav.scp: line 2: 'a' is there twice", 3),
    "an empty line": ({"wav.scp": "a {a}\n\nb {b}\nc {c}\n"}, "wav.scp: line 2: empty line", 3),
    "an id without a path": ({"wav.scp": "a {a}\nb\nc {c}\n"}, "wav.scp", 2),
    "a command": ({"wav.scp": "a {a}\nb {b}\nc sox {c} -t wav - |\n"}, "'c' is a command", 2),
    "text that is no UTF-8": ({"wav.scp": b"a {a}\nb {b}\n\xff\xfe {c}\n"}, "wav.scp: line 3: can't be read", 2),
    "no wav.scp": ({"wav.scp": None}, "wav.scp: no such file", None),
    "an empty wav.scp": ({"wav.scp": ""}, "wav.scp: no recordings in it", None),
    "a segment of nothing": ({"segments": "a1 a 0 0.2\nb1 x 0 0.2\n"},
                             "'b1' is in recording 'x', which is not in wav.scp", 1),
    "a segment that ends early": ({"segments": "a1 a 0.3 0.1\nb1 b 0 0.2\n"}, "'a1' runs from 0.3 to 0.1 s", 1),
    "a segment of words": ({"segments": "a1 a 0 0.2\nb1 b zero 0.2\n"}, "segments: line 2: can't be read", 1),
    "a segment of three columns": ({"segments": "a1 a 0 0.2\nb1 b 0\n"}, "segments: line 2: can't be read", 1),
    "a segment after the end": ({"segments": "a1 a 0 0.2\nb1 b 7 9\n"}, None, 2),
    "a speaker of nobody": ({"utt2spk": "a s\nb s\nc s\nd s\n"}, "utt2spk: 'd' is no utterance", 3),
    "one without a speaker": ({"utt2spk": "a s\nb s\n"}, "utt2spk: no line for 'c'", 2),
    "a length that is no number": ({"utt2dur": "a 0.5\nb long\nc 0.5\n"}, "utt2dur: line 2: can't be read", 2),
    "the text of nobody": ({"text": "a one\nb two\nc three\nx four\n"}, "text: 'x' is no utterance", 3),
}


@pytest.mark.parametrize("what", TABLES)
def test_a_broken_table(what, tmp_path):
    changes, words, left = TABLES[what]
    data = tmp_path / "data"
    data.mkdir()
    places = {name: str(tmp_path / f"{name}.wav") for name in "abc"}
    for path in places.values():
        write(tmp_path / path, WAV)
    for file, content in {"wav.scp": "".join(f"{key} {path}\n" for key, path in places.items()), **changes}.items():
        if content is not None:
            text = content if isinstance(content, bytes) else content.encode()
            for key, path in places.items():
                text = text.replace(f"{{{key}}}".encode(), path.encode())
            (data / file).write_bytes(text)
    if words:
        assert list(faults(data))
        with pytest.raises(UserError) as caught:
            DataDir.read(data)
        assert words in str(caught.value) and "\n" not in str(caught.value)
    if left is None:
        return
    fix(data)
    mended = DataDir.read(data)
    extract_logmel(mended, JobOptions(str(data), str(tmp_path / "logmel"), max_bad_share=1.0))
    merge_index(tmp_path / "logmel", max_bad_share=1.0)
    failed = (tmp_path / "logmel/logmel.1.failed").read_text().splitlines()
    assert len(mended) == left
    assert len((tmp_path / "logmel/index").read_text().splitlines()) + len(failed) == left
    assert len(failed) == (words is None)


def librispeech(root):
    for chapter in ("1/10", "2/20"):
        name = chapter.replace("/", "-")
        for i in range(2):
            write(root / f"dev-clean/{chapter}/{name}-000{i}.flac", FLAC)
        write(root / f"dev-clean/{chapter}/{name}.trans.txt", f"{name}-0000 ONE\n{name}-0001 TWO\n".encode())
    write(root / "SPEAKERS.TXT", b"1 | F | dev-clean | 8 | A\n2 | M | dev-clean | 8 | B\n")


def audioset(root):
    write(root / "eval_segments.csv", b'# a\n# b\n# c\n--aaaaaaaaa, 0, 10, "/m/1"\nYbbbbbbbbbb, 0, 10, "/m/1"\n')
    write(root / "clips/--aaaaaaaaa.wav", WAV)
    write(root / "clips/Ybbbbbbbbbb.wav", WAV)


def tar(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def hdf5(path, entries, **attributes):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        for name, content in entries.items():
            file[name] = content if isinstance(content, np.ndarray) else np.frombuffer(content, np.uint8)


CHAPTER = "dev-clean/1/10/1-10"
LAYOUTS = {  # corpus, what is broken, what is said, counts of stages 0 and 1 (None: an error)
    "a transcript is gone": ("librispeech", lambda r: (r / f"{CHAPTER}.trans.txt").unlink(),
                             "1-10.trans.txt: transcript can't be read (No such file", (4, 4, 0)),
    "a transcript is no text": ("librispeech", lambda r: write(r / f"{CHAPTER}.trans.txt", b"\xff\xfe\x00"),
                                "1-10.trans.txt: transcript can't be read", (4, 4, 0)),
    "a recording is gone": ("librispeech", lambda r: (r / f"{CHAPTER}-0001.flac").unlink(),
                            "dev-clean/1/10: transcript without recording: 1-10-0001", (3, 3, 0)),
    "a recording too many": ("librispeech", lambda r: write(r / f"{CHAPTER}-0007.flac", FLAC),
                             "dev-clean/1/10: recording without transcript: 1-10-0007", (5, 5, 0)),
    "a recording is damaged": ("librispeech", lambda r: write(r / f"{CHAPTER}-0001.flac", b"x"),
                               "1-10-0001.flac: not readable as audio", (4, 3, 1)),
    "a speaker is gone": ("librispeech", lambda r: (r / "dev-clean/2").rename(r / "2"),
                          "1 of the 2 speakers that SPEAKERS.TXT lists are not there", (2, 2, 0)),
    "SPEAKERS.TXT is no text": ("librispeech", lambda r: write(r / "SPEAKERS.TXT", b"\xff\xfe"),
                                "4 utterances (published: 2,703)", (4, 4, 0)),
    "the part is empty": ("librispeech", lambda r: ((r / "dev-clean").rename(r / "x"), (r / "dev-clean").mkdir()),
                          "no chapters in dev-clean", None),
    "a clip is gone": ("audioset", lambda r: (r / "clips/Ybbbbbbbbbb.wav").unlink(), "eval: 1 of 2 official clips",
                       (1, 1, 0)),
    "a clip is damaged": ("audioset", lambda r: write(r / "clips/Ybbbbbbbbbb.wav", b"x"),
                          "Ybbbbbbbbbb.wav: not readable as audio", (2, 1, 1)),
    "a line of the list": ("audioset", lambda r: write(r / "eval_segments.csv", b"--aaaaaaaaa, 0\n"),
                           "eval_segments.csv: line 1 is no 'YTID, start, end", None),
    "a tar pack is cut off": ("audioset", lambda r: write(r / "x.tar", b"x" * 2000), "x.tar: left out with all its",
                              (2, 2, 0)),
    "a shard is no tar": ("webdataset", lambda r: write(r / "b.tar", b"x" * 2000),
                          "b.tar: left out: no uncompressed tar, or cut off", (2, 2, 0)),
    "a shard is compressed": ("webdataset", lambda r: write(r / "b.tar", gzip.compress((r / "a.tar").read_bytes())),
                              "b.tar: left out: no uncompressed tar", (2, 2, 0)),
    "a shard's JSON": ("webdataset", lambda r: tar(r / "b.tar", {"z.wav": WAV, "z.json": b"{no"}),
                       "b.tar: z.json can't be read", (3, 3, 0)),
    "a shard's audio": ("webdataset", lambda r: tar(r / "b.tar", {"z.wav": b"no"}), "b.tar::z.wav: not readable",
                        (3, 2, 1)),
    "a parquet file": ("parquet", lambda r: write(r / "b.parquet", b"PAR1 no"), "b.parquet: left out: not readable",
                       (2, 2, 0)),
    "a parquet file without audio": ("parquet", lambda r: table(r / "b.parquet", [{"text": "x"}]),
                                     "b.parquet: left out: not readable as parquet (no column audio", (2, 2, 0)),
    "a cell without audio": ("parquet", lambda r: table(r / "b.parquet", [{"id": "x", "audio": None},
                                                                          {"id": "y", "audio": WAV}]),
                             "the cell holds no bytes", (4, 3, 1)),
    "an HDF5 file": ("hdf5", lambda r: write(r / "b.h5", b"\x89HDF no"), "b.h5: left out: not readable as HDF5",
                     (2, 2, 0)),
    "samples without a rate": ("hdf5", lambda r: hdf5(r / "b.h5", {"x": WAVE}), "an attribute sampling_rate",
                               (3, 2, 1)),
}
GOOD = {"librispeech": librispeech, "audioset": audioset,
        "webdataset": lambda root: tar(root / "a.tar", {"a.wav": WAV, "b.wav": WAV}),
        "parquet": lambda root: table(root / "a.parquet", [{"id": key, "audio": WAV} for key in "ab"]),
        "hdf5": lambda root: hdf5(root / "a.h5", {"a": WAV, "b": WAV})}


@pytest.mark.parametrize("what", LAYOUTS)
def test_a_broken_layout(what, tmp_path, caplog):
    corpus, spoil, words, counts = LAYOUTS[what]
    options = {"librispeech": {"parts": ["dev-clean"]}, "audioset": {"parts": ["eval"]}}.get(corpus, {})
    caplog.set_level("INFO")
    GOOD[corpus](tmp_path / "in")
    spoil(tmp_path / "in")
    if counts is None:
        with pytest.raises(UserError) as caught:
            stages(tmp_path / "in", tmp_path, corpus, **options)
        assert words in str(caught.value) and "\n" not in str(caught.value)
        return
    *found, said = stages(tmp_path / "in", tmp_path, corpus, **options)
    assert tuple(found) == counts and any(words in line for line in (caplog.text + said).splitlines()), caplog.text


def test_sixty():
    assert len(FILES) + 3 + len(TABLES) + len(LAYOUTS) >= 60
