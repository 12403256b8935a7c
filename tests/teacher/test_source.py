"""A teacher is found in a folder, or the message says how to get one there."""

import pytest
from huggingface_hub import constants

from m2d.common.errors import UserError
from m2d.teacher import source


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "hubert"
    path.mkdir()
    for name in ("config.json", "preprocessor_config.json", "pytorch_model.bin"):
        (path / name).touch()
    return path


def test_a_whole_folder_is_taken(folder):
    assert source.locate(str(folder)) == folder


@pytest.mark.parametrize("lost", ["config.json", "preprocessor_config.json", "pytorch_model.bin"])
def test_a_folder_that_lacks_a_file_is_named_with_it(folder, lost):
    (folder / lost).unlink()
    with pytest.raises(UserError, match=rf"{folder}.*{lost}"):
        source.locate(str(folder))


def test_a_wrong_path_asks_no_hub(monkeypatch):
    monkeypatch.setattr(source, "hf_hub_download", lambda *_, **__: pytest.fail("asked the hub for a path"))
    with pytest.raises(UserError, match=r"/no/such/hubert: no such folder.*model=FOLDER"):
        source.locate("/no/such/hubert")


def test_a_hub_out_of_reach_is_told_at_once(monkeypatch, tmp_path):
    closed = "http://127.0.0.1:9"  # nothing listens on the discard port
    monkeypatch.setattr(constants, "ENDPOINT", closed)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    fetch = source.hf_hub_download

    def cache_only(*words, local_files_only):
        assert local_files_only, "the hub client would go on trying for minutes"
        return fetch(*words, local_files_only=True)

    monkeypatch.setattr(source, "hf_hub_download", cache_only)
    with pytest.raises(UserError, match=rf"facebook/hubert-base-ls960.*{closed}.*--local-dir FOLDER.*model=FOLDER"):
        source.locate("facebook/hubert-base-ls960")


@pytest.mark.parametrize("kept", ["model.safetensors", "pytorch_model.bin"])
def test_what_the_hub_cache_holds_needs_no_network(monkeypatch, tmp_path, kept):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0" * 40
    repo = tmp_path / "models--someone--hubert"
    snapshot = repo / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    for name in ("config.json", "preprocessor_config.json", kept):
        (snapshot / name).touch()
    assert source.locate("someone/hubert") == snapshot
