"""The statistics that log-mels are normalised by."""

import json
import shutil

import pytest
import torch

from m2d.common.config import load_config
from m2d.common.errors import UserError
from m2d.training.config import PretrainConfig
from m2d.training.feed import Feed


@pytest.fixture
def feed(options, stores, tmp_path):
    """Maker of a feed on a copy of the stores, whose stats.json holds `text` (None: is not there)."""
    def make(text, *changes):
        shutil.copytree(stores, tmp_path / "stores", dirs_exist_ok=True)
        stats = tmp_path / "stores" / "speech" / "stats.json"
        stats.unlink() if text is None else stats.write_text(text)
        words = [word.replace(str(stores), str(tmp_path / "stores")) for word in options]
        return Feed(load_config(PretrainConfig, None, [*words, *changes]), torch.device("cpu"))
    return make


def test_statistics_of_the_store_unless_given(feed):
    text = json.dumps({"mean": -6.0, "std": 3.0, "frames": 1})
    assert feed(text).statistics[:2] == (-6.0, 3.0)
    assert feed(text, "data.std=5", "data.noise_mean=-9").statistics == (-6.0, 5.0, -9.0)
    assert feed(None, "data.mean=-7", "data.std=4").statistics[:2] == (-7.0, 4.0)


@pytest.mark.parametrize(("text", "message"), [
    (None, "no statistics can be read there"), ("{", "no statistics can be read there"),
    ('{"mean": -7.0}', "no statistics can be read there"), ('{"mean": -7.0, "std": 0.0}', "nothing can be normalised"),
    ('{"mean": NaN, "std": 4.0}', "nothing can be normalised")])
def test_statistics_that_are_none(feed, text, message):
    with pytest.raises(UserError, match=message) as caught:
        feed(text)
    assert "stores/speech" in str(caught.value)
