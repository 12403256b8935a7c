"""Audio as the loop sees it: statistics that log-mels are normalised by, what the data are."""

import json
import shutil

import pytest
import torch

from m2d.common.config import load_config
from m2d.common.errors import UserError
from m2d.training.config import PretrainConfig
from m2d.training.data_modules.audio import AudioData


@pytest.fixture
def data(options, stores, tmp_path):
    """Maker of the data module on a copy of the stores, whose stats.json holds `text` (None: is not there)."""
    def make(text, *changes):
        shutil.copytree(stores, tmp_path / "stores", dirs_exist_ok=True)
        stats = tmp_path / "stores" / "speech" / "stats.json"
        stats.unlink() if text is None else stats.write_text(text)
        words = [word.replace(str(stores), str(tmp_path / "stores")) for word in options]
        return AudioData(load_config(PretrainConfig, None, [*words, *changes]), torch.device("cpu"))
    return make


def test_statistics_of_the_store_unless_given(data):
    text = json.dumps({"mean": -6.0, "std": 3.0, "frames": 1})
    assert data(text).statistics == {"mean": -6.0, "std": 3.0}
    given = data(text, "data.std=5", "data.noise_mean=-9")
    assert (given.statistics, given.noise_mean) == ({"mean": -6.0, "std": 5.0}, -9.0)
    assert data(None, "data.mean=-7", "data.std=4").statistics == {"mean": -7.0, "std": 4.0}


@pytest.mark.parametrize(("text", "message"), [
    (None, "no statistics can be read there"), ("{", "no statistics can be read there"),
    ('{"mean": -7.0}', "no statistics can be read there"), ('{"mean": -7.0, "std": 0.0}', "can't be normalised"),
    ('{"mean": NaN, "std": 4.0}', "can't be normalised")])
def test_statistics_that_are_none(data, text, message):
    with pytest.raises(UserError, match=message) as caught:
        data(text)
    assert "stores/speech" in str(caught.value)


def test_the_teachers_width_is_that_of_its_store(data):
    text = json.dumps({"mean": -7.0, "std": 4.0})
    assert data(text, "model.teacher_width=null").config.model.teacher_width == 6
    with pytest.raises(UserError, match=r"stores/teacher: frames are 6 wide, but model\.teacher_width is 8"):
        data(text, "model.teacher_width=8")


@pytest.mark.parametrize(("mean", "std", "warned"), [(-6.51, 3.49, False), (-6.5, 4.0, True), (-1.0, 3.5, True)])
def test_weights_that_learnt_with_other_statistics_are_warned_of(data, caplog, mean, std, warned):
    data(None, f"data.mean={mean}", f"data.std={std}").warn_of_statistics({"mean": -6.5, "std": 3.5}, "model")
    if warned:
        assert f"mean -6.5 and deviation 3.5, this run normalises by {mean:g} and {std:g} " in caplog.text
        assert "data.mean=-6.5 data.std=3.5 would keep" in caplog.text
    else:
        assert not caplog.text


def test_identity_is_of_the_content_not_of_the_place(data, options):
    here = AudioData(load_config(PretrainConfig, None, options), torch.device("cpu"))
    moved = data(json.dumps(here.statistics))
    assert moved.identity() == here.identity()
    assert here.identity().keys() == {"speech", "teacher", "noise", "valid", "valid_teacher", "mean", "std",
                                      "noise_mean"}
    assert len(set(here.identity().values())) == 8
