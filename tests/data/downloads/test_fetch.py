"""Transfers that break off, lie, stall or bring something else."""

import hashlib
import os

import pytest

from m2d.common.errors import UserError
from m2d.data.downloads.fetch import Remote, fetch

CONTENT = bytes(range(256)) * 4000
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


def get(server, folder, *names, checksum=MD5, size=None):
    server.files.setdefault("a.bin", CONTENT)
    remote = Remote([server.url(name) for name in names or ["a.bin"]], size, checksum)
    return fetch(remote, folder, attempts=3, pause_s=0.01, timeout_s=0.5)


def test_a_sound_transfer_is_whole_and_leaves_nothing_else(server, tmp_path):
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["a.bin"]


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    get(server, tmp_path)
    get(server, tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize("fault", ["breaks off", "lies", "slow", 503])
def test_a_broken_transfer_goes_on_where_it_was(server, tmp_path, fault):
    server.faults["a.bin"] = [fault, fault]
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_only_the_rest_is_asked_for(server, tmp_path):
    server.faults["a.bin"] = ["breaks off"]
    get(server, tmp_path)
    assert [asked for _, asked in server.asked] == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_later_call_continues_an_earlier_one(server, tmp_path):
    server.faults["a.bin"] = [404]
    with pytest.raises(UserError, match=r"a\.bin could not be downloaded .* run the same command again"):
        get(server, tmp_path)
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    get(server, tmp_path)
    assert server.asked[-1][1] == "bytes=1000-"


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    server.faults["a.bin"] = ["no ranges"]
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_a_partial_copy_of_another_file_is_dropped(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_a_complete_partial_copy_needs_no_more_bytes(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_wrong_bytes_are_refused_and_never_get_the_name(server, tmp_path):
    server.faults["a.bin"] = ["wrong bytes"] * 5
    with pytest.raises(UserError, match="its md5 checksum is"):
        get(server, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_wrong_size_is_refused(server, tmp_path):
    with pytest.raises(UserError, match=f"has {len(CONTENT)} bytes, expected 5"):
        get(server, tmp_path, checksum=None, size=5)


def test_the_next_mirror_is_taken(server, tmp_path):
    server.files["b.bin"] = CONTENT
    server.faults["b.bin"] = ["wrong bytes"]
    assert get(server, tmp_path, "b.bin", "a.bin").read_bytes() == CONTENT


def test_a_transfer_without_progress_ends(server, tmp_path):
    server.faults["a.bin"] = [503] * 3
    with pytest.raises(UserError, match="503"):
        get(server, tmp_path)
    assert len(server.asked) == 3


def test_the_proxy_of_the_environment_is_used(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.files["http://corpus.example/a.bin"] = CONTENT
    assert fetch(Remote(["http://corpus.example/a.bin"], checksum=MD5), tmp_path).read_bytes() == CONTENT
