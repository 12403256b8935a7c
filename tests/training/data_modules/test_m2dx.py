"""M2D-X: the teacher works on the batch's clean log-mels; what it costs in options; short lists are repeated."""

import json

import pytest
import torch

from m2d.audio.logmel import LogMelConfig, normalise
from m2d.common.config import load_config
from m2d.common.errors import UserError
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.files import from_checkpoint, save_pretrained
from m2d.training.config import PretrainConfig
from m2d.training.data_modules.m2dx import M2DXData


def save_model(path, patch=(80, 4), sample_rate=16000, frames=48):
    torch.manual_seed(7)
    encoder = Encoder(EncoderConfig((80, frames), patch, 1, 32, 1, 2))
    save_pretrained(M2DFeatures(encoder, LogMelConfig(sample_rate=sample_rate), -6.0, 3.0), path)
    return str(path)


@pytest.fixture
def further(options, tmp_path):
    """Options of further pre-training from a model of the run's own size."""
    own = [word for word in options if not word.startswith(("data.teacher=", "data.valid_teacher="))]
    return [*own, "data.kind=m2dx", "model.lambda_off=1", f"run.init_from={save_model(tmp_path / 'weights')}"]


def open_data(words):
    return M2DXData(load_config(PretrainConfig, None, words), torch.device("cpu"))


def test_the_teacher_hears_the_clean_log_mel(further):
    data = open_data(further)
    batch = data.load_valid([0, 1])
    inputs = data.inputs(batch)
    clean = normalise(batch["logmel"], **data.statistics).transpose(1, 2)
    expected = data.teacher.encode(list(clean), all_layers=False).frames
    assert torch.equal(inputs["teacher"], expected) and not inputs["teacher"].requires_grad
    assert data.config.model.teacher_width == expected.shape[2] == 32
    assert not torch.allclose(inputs["x"][:, 0], clean)  # the student's input is noisy


def test_frames_of_silence_after_a_short_clip_do_not_count(further):
    data = open_data(further)
    batch = data.train[0, torch.arange(3).numpy()]
    assert batch["valid"].tolist() == [20, 27, 34] and data.inputs(batch)["teacher_frames"].tolist() == [5, 6, 8]


def test_a_teacher_of_shorter_patches(further, tmp_path):
    """Its frames are averaged to the student's patches by the objective."""
    data = open_data([*further, f"data.teacher={save_model(tmp_path / 'fine', (80, 2))}"])
    inputs = data.inputs(data.load_valid([0, 1]))
    assert inputs["teacher"].shape == (2, 24, 32)
    assert data.build_objective()(**inputs).terms["off"].isfinite()


def test_a_run_learns_from_both_losses_and_its_teacher_is_bound_to_it(further, finish, start, tmp_path):
    state = finish([*further, "data.epoch_samples=32", "optim.epochs=2"])
    assert state["step"] == 16  # 32 samples from 20 clips, in batches of 4, twice
    lines = [json.loads(line) for line in (tmp_path / "exp/metrics.jsonl").read_text().splitlines()]
    assert {"m2d", "off", "loss"} <= lines[0].keys() and "valid_off" in lines[-1]
    assert from_checkpoint(state).encoder.config.width == 32
    assert not any(name.startswith("teacher") for name in state["model"])
    other = start([*further, "data.epoch_samples=32", "optim.epochs=2",
                   f"data.teacher={save_model(tmp_path / 'other', (80, 2))}", "run.allow_config_change=true"])
    assert other.wait() == 65 and "teacher: M2D encoder, content" in other.said()


@pytest.mark.parametrize(("changes", "message"), [
    (["model.lambda_off=0"], "data.kind=m2dx: it needs model.lambda_off > 0"),
    (["run.init_from=null"], "give data.teacher=MODEL, or run.init_from"),
    (["data.valid_teacher=x"], "data.kind=m2dx: data.valid_teacher does not apply"),
    (["data.epoch_samples=-1"], r"must lie in \[0, inf\)")])
def test_options_that_do_not_fit(further, changes, message):
    with pytest.raises(UserError, match=message):
        load_config(PretrainConfig, None, [*further, *changes])


@pytest.mark.parametrize(("model", "message"), [
    ({"patch": (80, 6)}, "must hold a whole number"), ({"sample_rate": 32000}, "80 bins at 32000 Hz")])
def test_a_model_that_cannot_teach(further, tmp_path, model, message):
    with pytest.raises(UserError, match=message):
        open_data([*further, f"data.teacher={save_model(tmp_path / 'odd', **model)}"])
