"""Names of models, taken apart."""

import pytest

from m2d.common.errors import UserError
from m2d.pretrained.names import ModelName, parse_model


@pytest.mark.parametrize("text, expected", [
    ("exp/m2d/model", ("own", "exp/m2d/model")),
    ("owner/name", ("own", "owner/name")),
    ("random:exp/m2d/model", ("random", "exp/m2d/model")),
    ("random:exp/m2d/model:12", ("random", "exp/m2d/model", "12")),
    ("random:a:b/model", ("random", "a:b/model")),
    ("random:7", ("random", "7")),
    ("logmel", ("logmel", "")),
    ("logmel:4", ("logmel", "", "4")),
    ("s3prl:hubert", ("s3prl", "hubert")),
    ("s3prl:wav2vec2_local:/a:b.pt", ("s3prl", "wav2vec2_local", "/a:b.pt")),
    ("hf:facebook/wav2vec2-base", ("hf", "facebook/wav2vec2-base")),
])
def test_every_form(text, expected):
    assert parse_model(text) == ModelName(*expected)


def test_a_checkpoint_file_here_needs_no_slash(tmp_path, monkeypatch):
    (tmp_path / "m2d.pth").touch()
    monkeypatch.chdir(tmp_path)
    assert parse_model("m2d.pth") == ModelName("own", "m2d.pth")


@pytest.mark.parametrize("text", ["", "hubert", "s3prl:", "hf:", "random:", "logmel:", "logmel:0", "logmel:two"])
def test_what_is_of_no_form(text):
    with pytest.raises(UserError, match=f"model '{text}'"):
        parse_model(text)
