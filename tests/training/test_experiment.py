"""A run is bound to its data by content: nothing goes on, and nothing is called finished, on other data."""

import json
import re
import shutil

import numpy as np
import pytest

from m2d.common.errors import OtherRunError
from m2d.data.merge import merge_index
from m2d.data.writer import PackedWriter


def made_anew(store, seed=9):
    """As many utterances and frames as before, in the same place, of other sound."""
    lines = [line.split() for line in (store / "index").read_text().splitlines()]
    width = json.loads((store / "meta.json").read_text())["width"]
    shutil.rmtree(store)
    rng = np.random.default_rng(seed)
    with PackedWriter(store, "logmel", width) as writer:
        for name, place in lines:
            writer.append(name, rng.normal(-7, 4, (int(place.split(":")[2]), width)).astype(np.float16))
    merge_index(store)


def set_mean(store, mean):
    stats = json.loads((store / "stats.json").read_text())
    (store / "stats.json").write_text(json.dumps({**stats, "mean": mean}))


CHANGES = [
    (lambda top: made_anew(top / "speech"), r"mean: \S+ -> \S+; speech: 20 utterances, content \w{32} -> 20 utter"),
    (lambda top: made_anew(top / "noise"), r"noise: 4 utterances, content \w{32} -> 4 utterances"),
    (lambda top: made_anew(top / "valid"), r"\(valid: 5 utterances"),
    (lambda top: set_mean(top / "speech", 8.0), r"\(mean: -\d\.\d+ -> 8\)"),
    (lambda top: set_mean(top / "noise", 8.0), r"\(noise_mean: -\d\.\d+ -> 8\)"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_a_finished_run_on_other_data_is_not_finished(own_options, own_stores, start, finish, change, message):
    finish([*own_options, "optim.epochs=2"])
    change(own_stores)
    run = start([*own_options, "optim.epochs=2"])
    assert run.wait() == OtherRunError.status
    assert "nothing to do" not in run.said()
    assert re.search(f"/exp holds a run on other data .*{message}.* move the directory aside", run.said())


def test_no_run_goes_on_with_changed_data(own_options, own_stores, start, finish, tmp_path):
    """Not even where options may change; on the former data it does."""
    stats = (own_stores / "speech/stats.json").read_text()
    finish([*own_options, "optim.epochs=2"])
    (tmp_path / "exp/done").unlink()
    set_mean(own_stores / "speech", 8.0)
    for more in ([], ["run.allow_config_change=true"]):
        run = start([*own_options, "optim.epochs=2", *more])
        assert run.wait() == OtherRunError.status, run.said()
    assert "holds a run on other data (mean: -" in run.said()
    assert "holds a run on other data (mean: -" in (tmp_path / "exp/train.log").read_text()
    (own_stores / "speech/stats.json").write_text(stats)
    finish([*own_options, "optim.epochs=2"])


def test_options_that_shape_the_result_bind_a_run(own_options, start, finish):
    finish(own_options)
    finish([*own_options, "run.valid_epochs=7", "run.log_steps=3"])
    run = start([*own_options, "optim.eps=1e-6"])
    assert run.wait() == OtherRunError.status
    assert "other options (optim.eps: 1e-08 -> 1e-06)" in run.said()
