"""Kaldi's data-directory scripts: every fault named with its line, mended, parts taken."""

import subprocess
from pathlib import Path

import pytest

from m2d.common.errors import UserError
from m2d.data.datadir import DataDir, Segment
from m2d.data.datadir_tools import combine, faults, fix, split, subset

UTILS = Path(__file__).parents[2] / "utils"


def directory(n=6, **tables):
    ids = [f"s{i % 3}-u{i}" for i in range(n)]
    return DataDir({name: f"/x/{name}.wav" for name in ids}, utt2spk={name: name[:2] for name in ids},
                   utt2dur={name: 1800.0 for name in ids}, **tables)


@pytest.fixture
def path(tmp_path):
    directory().write(tmp_path / "d")
    return tmp_path / "d"


def test_spk2utt_is_written_from_utt2spk(path):
    assert (path / "spk2utt").read_text() == "s0 s0-u0 s0-u3\ns1 s1-u1 s1-u4\ns2 s2-u2 s2-u5\n"
    assert not list(faults(path)) and DataDir.read(path) == directory()


@pytest.mark.parametrize("file, line, said", [
    ("wav.scp", "s0-u0 /y.wav", "wav.scp: line 7: 's0-u0' is there twice"),
    ("wav.scp", "", "wav.scp: line 7: empty line"),
    ("utt2dur", "s3-u9 2.0", "utt2dur: 's3-u9' is no utterance of this directory"),
    ("utt2dur", "s3-u9 long", "utt2dur: line 7: can't be read: 's3-u9 long'"),
    ("utt2num_frames", "s0-u0 12.5", "utt2num_frames: line 1: can't be read: 's0-u0 12.5'"),
    ("wav.scp", "s3-u9 /z.wav", "utt2spk: no line for 's3-u9'"),
    ("wav.scp", "a /z.wav", "wav.scp: line 7: 'a' is not in order (LC_ALL=C sort)"),
    ("spk2utt", "s9 s0-u0", "spk2utt: line 4: 's0-u0' is of 's0' in utt2spk"),
    ("segments", "seg s0-u0 0 1", "wav.scp: no segment is in recording 's0-u3'"),
    ("segments", "seg gone 0 1", "segments: 'seg' is in recording 'gone', which is not in wav.scp")])
def test_faults_are_named_with_file_and_line(path, file, line, said):
    with open(path / file, "a") as stream:
        stream.write(line + "\n")
    assert f"{path}/{said}" in list(faults(path))


def test_fix_sorts_and_drops_what_has_no_partner(path):
    lines = (path / "wav.scp").read_text().splitlines()
    (path / "wav.scp").write_text("\n".join([*reversed(lines), lines[0], "new /n.wav"]) + "\n")
    (path / "utt2dur").write_text("s0-u0 1.0\ns1-u1 long\ns2-u2 2.0\n")
    before = (path / "wav.scp").read_text()
    assert fix(path) == {"wav.scp": 6, "utt2spk": 4, "utt2dur": 1}
    assert DataDir.read(path).utterances == ["s0-u0", "s2-u2"] and not list(faults(path))
    assert (path / ".backup/wav.scp").read_text() == before


def test_fix_leaves_all_where_nothing_would_be_left(path):
    (path / "utt2dur").write_text("other 1.0\n")
    with pytest.raises(UserError, match="nothing was changed"):
        fix(path)
    assert len((path / "wav.scp").read_text().splitlines()) == 6


def test_subsets():
    data = directory()
    assert subset(data, utterances=["s1-u4"]).utterances == ["s1-u4"]
    assert subset(data, speakers=["s2", "s0"]).utterances == ["s0-u0", "s0-u3", "s2-u2", "s2-u5"]
    assert len(subset(data, count=2)) == 2 and subset(data, count=2, seed=1) == subset(data, count=2, seed=1)
    assert sum(subset(data, hours=1.2).utt2dur.values()) == 3 * 1800
    for wrong, said in (({"utterances": ["x"]}, "'x' is no utterance"), ({"speakers": ["x"]}, "'x' is no speaker"),
                        ({"count": 7}, "7 of 6"), ({"hours": 5}, "the directory has 3.00 h")):
        with pytest.raises(UserError, match=said):
            subset(data, **wrong)


def test_combined_directories(tmp_path):
    one = directory(3)
    two = DataDir({"r": "/r.wav"}, segments={"r-1": Segment("r", 0, 1)}, utt2spk={"r-1": "r"})
    both = combine([one, two])
    assert len(both) == 4 and not both.utt2dur and both.segments["s0-u0"] == Segment("s0-u0", 0, -1)
    both.write(tmp_path / "both")
    assert not list(faults(tmp_path / "both"))
    with pytest.raises(UserError, match=r"wav\.scp: 'r' is '/r.wav' in one directory, '/q.wav' in another"):
        combine([two, DataDir({"r": "/q.wav"})])


def test_split(path):
    parts = split(path, 4)
    assert [len(DataDir.read(part)) for part in parts] == [1, 2, 1, 2] and parts[0] == path / "split4/1"


def test_the_scripts(path, tmp_path):
    def run(script, *words):
        return subprocess.run([UTILS / script, *map(str, words)], capture_output=True, text=True)
    assert run("validate_data_dir.sh", path).stdout == f"{path}: 6 utterances, no faults\n"
    (tmp_path / "list").write_text("s0-u0 ignored\ns1-u1\n")
    assert run("subset_data_dir.sh", "--utt-list", tmp_path / "list", path, tmp_path / "a").returncode == 0
    assert run("subset_data_dir.sh", path, 2, tmp_path / "b").returncode == 0
    assert run("combine_data.sh", tmp_path / "c", tmp_path / "a", tmp_path / "b").returncode == 0
    assert run("split_data.sh", tmp_path / "c", 2).returncode == 0
    (tmp_path / "c/wav.scp").write_text("b /b.wav\na /a.wav\n")
    checked = run("validate_data_dir.sh", tmp_path / "c")
    assert checked.returncode == 1 and "wav.scp: line 2: 'a' is not in order" in checked.stderr
    assert run("fix_data_dir.sh", tmp_path / "c").stderr.startswith("error: ")
    assert run("subset_data_dir.sh", path, tmp_path / "d").returncode == 2
