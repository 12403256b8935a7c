"""Each switch that is there for speed or memory leaves the losses of a run as they are."""

import functools

import pytest
import torch

from m2d.common.config import load_config
from m2d.training.config import PretrainConfig
from m2d.training.data_modules import open_data
from m2d.training.distributed import open_ranks
from m2d.training.trainer import Trainer

STEPS = 12
EXACT, ROUNDING, HALF = 0.0, 1e-4, 1e-2


def losses(options):
    """Loss and gradient norm of each of the first steps, float64 `[STEPS, 2]`."""
    with open_ranks("cpu") as ranks:
        config = load_config(PretrainConfig, None, options)
        trainer = Trainer(config, ranks, open_data(config, ranks.device))
    batches = trainer.data.training_batches(trainer.sampler)
    values = [trainer.train_step(step, batches).values for step in range(STEPS)]
    return torch.tensor([[float(step["loss"]), float(step["grad_norm"])] for step in values], dtype=torch.float64)


@pytest.mark.parametrize(("switch", "tolerance"), [
    ("data.workers=2", EXACT), ("model.activation_checkpointing=true", EXACT), ("optim.micro_batch=2", ROUNDING),
    ("run.compile=true", ROUNDING), ("run.dtype=bf16", HALF)])
def test_a_switch_keeps_the_losses(options, switch, tolerance, monkeypatch):
    # The compiler's graphs of forward and backward; to make machine code of them takes it a minute or two.
    monkeypatch.setattr(torch.nn.Module, "compile",
                        functools.partialmethod(torch.nn.Module.compile, backend="aot_eager"))
    plain, switched = losses(options), losses([*options, switch])
    assert plain[-1, 0] < plain[0, 0]
    torch.testing.assert_close(switched, plain, rtol=tolerance, atol=0)
