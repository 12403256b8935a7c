"""`run.init_from`: a fresh run from other weights."""

import pytest
import torch

from m2d.common.errors import UserError
from m2d.nn import ModelConfig, build_objective
from m2d.pretrained.files import from_checkpoint, save_pretrained
from m2d.pretrained.published import write_published
from m2d.training.checkpoint import checkpoints
from m2d.training.weights import start_from


@pytest.fixture
def finished(options, finish, tmp_path):
    """State and file of a run's last checkpoint."""
    state = finish([*options, "optim.epochs=2"])
    return state, checkpoints(tmp_path / "exp/checkpoints")[-1]


def test_a_new_run_takes_weights_but_no_schedule(options, finish, finished, tmp_path):
    state, path = finished
    new = finish([*options, f"run.exp={tmp_path}/new", f"run.init_from={path}", "optim.base_lr=0"])
    assert new["step"] == 15  # all of its own steps
    online = [name for name in state["model"] if not name.startswith("target.")]
    assert all(new["model"][name].equal(state["model"][name]) for name in online)


def test_from_a_model_directory(finished, tmp_path):
    state, _ = finished
    save_pretrained(from_checkpoint(state), tmp_path / "model")
    torch.manual_seed(1)
    objective = build_objective(ModelConfig(**state["config"]["model"]))
    predictor = objective.predictor.head.weight.clone()
    start_from(objective, str(tmp_path / "model"))
    own = objective.state_dict()
    for name, value in state["model"].items():
        if name.startswith("encoder."):
            assert own[name].equal(value)
            if name.startswith("encoder.transformer."):  # the target starts as the encoder's copy
                assert own[name.replace("encoder.transformer.", "target.")].equal(value)
    assert own["predictor.head.weight"].equal(predictor)


def test_other_networks_are_refused(finished):
    state, path = finished
    objective = build_objective(ModelConfig(**{**state["config"]["model"], "width": 64}))
    with pytest.raises(UserError, match=r"step_000000010\.pt: parameter .* is .*, expected"):
        start_from(objective, str(path))


def test_another_number_of_heads_is_refused(finished, tmp_path):
    """No tensor tells the heads, so the same shapes would load and mean something else."""
    state, path = finished
    save_pretrained(from_checkpoint(state), tmp_path / "model")
    objective = build_objective(ModelConfig(**{**state["config"]["model"], "heads": 4}))
    for origin in (path, tmp_path / "model"):
        with pytest.raises(UserError, match=r"has 2 attention heads, this run's 4 \(model\.heads\)"):
            start_from(objective, str(origin))


def test_weights_of_another_sample_rate_are_refused(finished, tmp_path):
    """By the name of the published file, which does not tell the rate itself."""
    state, _ = finished
    objective = build_objective(ModelConfig(**state["config"]["model"]))
    write_published(tmp_path / "whole.pth", state["model"], objective.config.encoder, (-6.5, 3.5))
    path = tmp_path / "m2d_vit_base-80x48p80x4p32k.pth"
    torch.save({"model": torch.load(tmp_path / "whole.pth", weights_only=True)["model"]}, path)
    with pytest.raises(UserError, match=r"p32k\.pth: weights for audio of 32000 Hz; .* of audio of 16000 Hz"):
        start_from(objective, str(path))


def test_the_statistics_of_the_weights_are_told(finished, tmp_path):
    """Whatever the weights come from."""
    state, path = finished
    objective = build_objective(ModelConfig(**state["config"]["model"]))
    model = from_checkpoint(state)
    model.set_statistics(-6.5, 3.5)
    save_pretrained(model, tmp_path / "model")
    write_published(tmp_path / "published.pth", state["model"], objective.config.encoder, (-6.5, 3.5))
    for origin in (tmp_path / "model", tmp_path / "published.pth"):
        assert start_from(objective, str(origin)) == {"mean": -6.5, "std": 3.5}
    assert start_from(objective, str(path)) == state["statistics"]


def test_other_statistics_are_warned_of(options, finished, start, tmp_path):
    """In the log of a run that begins with weights of another; the warning names the options that set them."""
    _, path = finished
    new = [*options, f"run.exp={tmp_path}/new", f"run.init_from={path}"]
    run = start([*new, "optim.epochs=2", "data.mean=-1", "data.std=4"])
    assert run.wait() == 0
    assert "this run normalises by -1 and 4 (data.mean" in run.said()
