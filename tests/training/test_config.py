"""Options of pre-training: what does not fit together is refused by name; what changed is told."""

import pytest

from m2d.common.config import load_config, to_yaml
from m2d.common.errors import UserError
from m2d.training.config import PretrainConfig, changes, plain


def load(*words):
    return load_config(PretrainConfig, None, ["data.speech=a", "run.exp=b", *words])


@pytest.mark.parametrize(("words", "message"), [
    (["data.noise_ratio=0.2"], "needs data.noise"),
    (["data.noise_ratio=1.5", "data.noise=n"], "data.noise_ratio=1.5': must lie in .0, 1."),
    (["data.noise_mean=-7"], "data.noise_mean does not apply"),
    (["model.lambda_off=0.5"], "needs data.teacher"),
    (["model.lambda_off=0.5", "data.teacher=t", "data.valid=v"], "needs data.valid_teacher"),
    (["data.teacher=t"], "data.teacher does not apply: model.lambda_off is 0"),
    (["model.lambda_off=0.5", "data.teacher=t", "data.valid_teacher=v"], "there is no data.valid"),
    (["data.std=0"], r"option 'data.std=0.0': must lie in \(0, inf\)"),
    (["optim.warmup_epochs=-1"], r"must lie in \[0, inf\)"),
    (["optim.batch_size=0"], r"must lie in \[1, inf\)"),
    (["optim.betas=[0.9]"], "give 2 values"),
    (["optim.betas=[0.9,1.0]"], r"must lie in \[0, 1\)"),
    (["optim.weight_decay=-0.1"], r"must lie in \[0, inf\)"),
    (["optim.base_lr=-1e-4"], r"must lie in \[0, inf\)"),
    (["optim.eps=-1e-8"], r"must lie in \(0, inf\)"),
    (["optim.base_lr=nan"], "option 'optim.base_lr=nan': must be a finite number"),
    (["model.lambda_m2d=nan"], "must be a finite number"),
    (["run.checkpoint_minutes=-1"], r"must lie in \[0, inf\)"),
    (["data.workers=-1"], r"must lie in \[0, inf\)"),
    (["model.in_channels=3"], "model.in_channels=3: log-mels have one channel"),
    (["run.dtype=fp16"], "must be one of auto, fp32, bf16"),
    (["run.keep_last=0"], r"must lie in \[1, inf\)"),
    (["data.kind=audi"], "unknown kind of data 'audi', did you mean 'audio'"),
    (["data.speech=null"], "option 'data.speech' has no default"),
    (["optim.learning_rate=1"], "unknown option 'optim.learning_rate'"),
])
def test_what_does_not_fit_is_refused(words, message):
    with pytest.raises(UserError, match=message):
        load(*words)


def test_a_run_shorter_than_its_warm_up_has_a_shorter_one(caplog):
    """`optim.epochs=2` alone, over settings of 300, is enough to try something out."""
    assert load("optim.epochs=2").optim.warmup_epochs == 0.2 and "optim.warmup_epochs=20" in caplog.text
    assert load("optim.epochs=21").optim.warmup_epochs == 20


def test_resolved_options_read_back(tmp_path):
    config = load("data.noise=n", "data.noise_ratio=0.2", "model.patch_size=[80,4]", "optim.eps=1e-7")
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_config(PretrainConfig, tmp_path / "config.yaml") == config


def test_changes_name_what_shapes_the_result_only():
    before = plain(load())
    assert changes(before, plain(load("data.workers=9", "run.log_steps=5", "optim.micro_batch=64",
                                     "run.valid_epochs=5"))) == []
    assert changes(before, plain(load("optim.eps=1e-7", "model.mask_ratio=0.6"))) == \
        ["model.mask_ratio: 0.7 -> 0.6", "optim.eps: 1e-08 -> 1e-07"]


def test_an_option_that_an_older_version_did_not_have_had_its_default():
    before = plain(load())
    del before["data"]["kind"], before["optim"]["eps"]
    assert changes(before, plain(load())) == []
    assert changes(before, plain(load("optim.eps=1e-7"))) == ["optim.eps: 1e-08 -> 1e-07"]
