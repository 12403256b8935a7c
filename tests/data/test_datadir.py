"""Kaldi tables: written sorted, read back the same, and every fault named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2d.common.errors import UserError
from m2d.data.datadir import DataDir, Segment

IDS = st.text(st.characters(blacklist_categories=("Z", "C")), min_size=1, max_size=8).filter(
    lambda s: s.split() == [s])


def example():
    return DataDir({"b": "/x/b c.wav", "a": "/x/a.wav"}, utt2spk={"a": "s1", "b": "s2"},
                   text={"b": "HELLO WORLD", "a": ""}, utt2dur={"a": 1.5}, labels={"b": "/m/1,/m/2"},
                   classes={"/m/1": "0 Speech"})


def test_read_gives_back_what_was_written_sorted(tmp_path):
    example().write(tmp_path / "d")
    assert (tmp_path / "d" / "wav.scp").read_text() == "a /x/a.wav\nb /x/b c.wav\n"
    assert (tmp_path / "d" / "text").read_text() == "a\nb HELLO WORLD\n"
    assert not (tmp_path / "d" / "segments").exists()
    assert DataDir.read(tmp_path / "d") == example()


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(IDS, IDS, min_size=1))
def test_any_ids_survive(tmp_path_factory, table):
    data = DataDir({key: f"/{value}.wav" for key, value in table.items()}, utt2spk=table)
    path = tmp_path_factory.mktemp("d") / "d"
    data.write(path)
    assert DataDir.read(path) == data
    keys = [line.split()[0].encode() for line in (path / "wav.scp").read_text().split("\n")[:-1]]
    assert keys == sorted(keys)


def test_segments_say_where_the_audio_is(tmp_path):
    data = DataDir({"r": "/r.wav"}, segments={"r-1": Segment("r", 0.5, 2.0), "r-2": Segment("r", 2.0, -1)})
    data.write(tmp_path / "d")
    data = DataDir.read(tmp_path / "d")
    assert data.utterances == ["r-1", "r-2"] and len(data) == 2
    assert data.source("r-1") == ("/r.wav", 0.5, 1.5) and data.source("r-2") == ("/r.wav", 2.0, None)
    assert example().source("a") == ("/x/a.wav", 0.0, None)


@pytest.mark.parametrize("table, text, words", [
    ("wav.scp", "", r"wav\.scp: no recordings"),
    ("wav.scp", "a /a.wav\na /b.wav\n", r"wav\.scp: line 2: 'a' is there twice"),
    ("wav.scp", "a /a.wav\n\n", "line 2: empty"),
    ("wav.scp", "a sox /a.wav -t wav - |\n", "is a command"),
    ("segments", "u r 0 x\n", r"segments: line 1: can't be read"),
    ("segments", "u r 0\n", r"segments: line 1"),
    ("segments", "u z 0 1\n", "recording 'z', which is not in wav.scp"),
    ("segments", "u a 2 1\n", r"runs from 2\.0 to 1\.0"),
    ("utt2spk", "a s\nz s\n", "utt2spk: 'z' is no utterance"),
    ("utt2spk", "a s\n", "utt2spk: no line for 'b'"),
    ("utt2dur", "a long\n", "utt2dur: line 1"),
])
def test_faults_are_named(tmp_path, table, text, words):
    (tmp_path / "wav.scp").write_text("b /b.wav\na /a.wav\n")
    (tmp_path / table).write_text(text)
    with pytest.raises(UserError, match=words):
        DataDir.read(tmp_path)


def test_no_data_directory(tmp_path):
    with pytest.raises(UserError, match="run the data stage first"):
        DataDir.read(tmp_path / "none")


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 50), st.integers(1, 60))
def test_jobs_share_out_all_utterances(count, jobs):
    data = DataDir({f"{i:03d}": f"/{i}" for i in range(count)})
    parts = [data.split(job, jobs) for job in range(1, jobs + 1)]
    assert [u for part in parts for u in part.utterances] == data.utterances
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    with pytest.raises(UserError, match="from 1 to jobs"):
        data.split(jobs + 1, jobs)


def test_subset_keeps_the_recordings_it_needs():
    data = DataDir({"r": "/r", "s": "/s"}, segments={"r1": Segment("r", 0, 1), "r2": Segment("r", 1, 2),
                                                     "s1": Segment("s", 0, 1)}, text={"r1": "A", "s1": "B"})
    part = data.subset(["r1", "r2"])
    assert part.wav == {"r": "/r"} and set(part.segments) == {"r1", "r2"} and part.text == {"r1": "A"}


def test_held_out_speakers_are_not_in_the_rest():
    data = DataDir({f"s{s}-{i}": "/x" for s in range(10) for i in range(5)},
                   utt2spk={f"s{s}-{i}": f"s{s}" for s in range(10) for i in range(5)})
    rest, held = data.hold_out(7, seed=1)
    assert len(held) == 10 and len(rest) == 40
    assert not set(rest.utt2spk.values()) & set(held.utt2spk.values())
    assert data.hold_out(7, seed=1)[1] == held and data.hold_out(7, seed=2)[1] != held
    with pytest.raises(UserError, match="hold out fewer"):
        data.hold_out(46)


def test_held_out_parts_of_a_recording_stay_together():
    data = DataDir({f"r{i}": "/x" for i in range(4)},
                   segments={f"r{i}-{p}": Segment(f"r{i}", p, p + 1) for i in range(4) for p in range(3)})
    rest, held = data.hold_out(2)
    assert len(held) == 3 and len(held.wav) == 1 and not set(rest.wav) & set(held.wav)


def test_fingerprint_follows_utterances_not_places():
    assert example().fingerprint() == DataDir({"a": "/elsewhere/a.wav", "b": "/elsewhere/b.wav"}).fingerprint()
    assert example().fingerprint() != example().subset(["a"]).fingerprint()
