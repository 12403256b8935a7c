"""Files are whole or absent."""

import pytest

from m2d.common.files import atomic_directory, atomic_open, disk_size, sha256, write_json


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a" / "x.txt"
    with atomic_open(path) as stream:
        stream.write("old")
    with pytest.raises(RuntimeError), atomic_open(path) as stream:
        stream.write("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["x.txt"]


def test_an_interrupted_directory_leaves_the_old_one(tmp_path):
    with atomic_directory(tmp_path / "d") as d:
        (d / "one").write_text("1")
    with pytest.raises(RuntimeError), atomic_directory(tmp_path / "d") as d:
        (d / "two").write_text("2")
        raise RuntimeError
    assert [p.name for p in (tmp_path / "d").iterdir()] == ["one"]
    with atomic_directory(tmp_path / "d") as d:
        (d / "three").write_text("3")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["three"]


def test_files_of_a_directory_are_as_readable_as_it_is(tmp_path):
    with atomic_directory(tmp_path / "d") as d:
        (d / "sub").mkdir()
        for name in ("private", "sub/private", "program"):
            (d / name).write_text("1")
            (d / name).chmod(0o700 if name == "program" else 0o600)  # as files made by way of a temporary one are
        d.chmod(0o750)
    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "d").rglob("*") if path.is_file()} == \
        {"private": 0o640, "program": 0o740}


def test_sha256_and_json(tmp_path):
    write_json(tmp_path / "x.json", {"a": 1})
    assert (tmp_path / "x.json").read_text() == '{\n "a": 1\n}\n'
    (tmp_path / "e").write_bytes(b"abc")
    assert sha256(tmp_path / "e") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_size_of_a_folder_is_that_of_all_its_files(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/x").write_bytes(bytes(1500))
    (tmp_path / "a/b/y").write_bytes(bytes(2_000_000))
    assert disk_size(tmp_path) == "2 MB" and disk_size(tmp_path / "a/x") == "1.5 kB"
