"""The loop's step: against the published code's, in parts, on ranks."""

import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from m2d.common.config import load_config
from m2d.common.errors import UserError
from m2d.pretrained.published import to_published
from m2d.training.config import PretrainConfig
from m2d.training.data_modules import open_data
from m2d.training.distributed import open_ranks
from m2d.training.monitor import read_metrics
from m2d.training.optim import Schedule
from m2d.training.trainer import Trainer


def make(options, *more):
    with open_ranks("cpu") as ranks:
        config = load_config(PretrainConfig, None, [*options, *more])
        return Trainer(config, ranks, open_data(config, ranks.device))


@pytest.mark.parametrize(("run", "steps_per_epoch"), [("one", 1), ("one_clip", 1), ("five", 5)])
def test_steps_equal_the_published_loop(golden, options, run, steps_per_epoch):
    """Learning rate, loss, gradient norm, clipping, AdamW, EMA: one step, one that is clipped, five in a row."""
    arrays, meta = golden("e_step")
    expected, args, config = meta[run], meta[run]["args"], meta["config"]
    trainer = make(
        [word for word in options if not word.startswith(("data.teacher", "data.valid", "data.noise"))],
        "data.mean=0", "data.std=1", "model.input_size=[80,208]", "model.patch_size=[16,16]", "model.lambda_off=0",
        "model.mask_ratio=0.7", *(f"model.{name}={config[key]}" for name, key in [
            ("width", "embed_dim"), ("depth", "depth"), ("heads", "num_heads"),
            ("predictor_width", "decoder_embed_dim"), ("predictor_depth", "decoder_depth"),
            ("predictor_heads", "decoder_num_heads")]),
        "optim.batch_size=2", f"optim.epochs={args['epochs']}", f"optim.warmup_epochs={args['warmup_epochs']}",
        f"optim.base_lr={args['lr'] * 128}", f"optim.clip_norm={args['clip_grad']}",
        f"optim.ema_start={expected['ema_range'][0]}", f"optim.ema_end={expected['ema_range'][1]}")
    trainer.schedule = Schedule(trainer.config.optim, steps_per_epoch)
    for name, parameter in trainer.objective.state_dict().items():  # the formula of e_step.json
        values = np.random.RandomState(zlib.crc32(to_published(name).encode())).standard_normal(tuple(parameter.shape))
        is_norm = parameter.ndim == 1 and name.endswith(".weight")
        parameter.copy_(torch.from_numpy(1 + 0.1 * values if is_norm else 0.05 * values))

    kind = "five" if run == "five" else "one"
    inputs, noises = arrays[f"e_{kind}_x"].view(-1, 2, 80, 208), arrays[f"e_{kind}_noise"].view(-1, 2, 65)
    batches = iter([({"logmel": x.transpose(1, 2), "mask_noise": noise, "ids": ["a", "b"]}, 0.0)
                    for x, noise in zip(inputs, noises, strict=True)])
    first = expected["epoch"] * steps_per_epoch
    for i in range(len(inputs)):
        assert trainer.schedule.lr(first + i) == pytest.approx(expected["lr"][i])
        assert trainer.schedule.ema_rate(first + i) == pytest.approx(expected["ema_decay"][i], abs=1e-12)
        values = trainer.train_step(first + i, batches).values
        assert values["loss"].item() == pytest.approx(expected["losses"][i], rel=1e-5)
        assert values["grad_norm"].item() == pytest.approx(expected["grad_norm_before_clip"][i], rel=2e-5)
        assert not values["skipped"]
    state = {to_published(name): value for name, value in trainer.objective.state_dict().items()}
    for name in expected["unchanged"]:
        if name != "pos_embed":
            torch.testing.assert_close(state[name], arrays[f"{run}.after.{name}"], rtol=0, atol=1e-5)


def gradients(trainer):
    """Gradients after the first step, which has learning rate 0."""
    batch = trainer.data.copied(trainer.data.train[0, np.arange(4)])
    parts = trainer.sampler.accumulate
    cut = [{key: value[part::parts] for key, value in batch.items()} for part in range(parts)]
    values = trainer.train_step(0, iter([(part, 0.0) for part in cut])).values
    return values, {name: p.grad for name, p in trainer.objective.named_parameters() if p.requires_grad}


def test_accumulation_equals_the_large_batch(options):
    whole, expected = gradients(make(options, "optim.clip_norm=1e9"))
    for micro in (1, 2):
        values, actual = gradients(make(options, "optim.clip_norm=1e9", f"optim.micro_batch={micro}"))
        torch.testing.assert_close(values["loss"], whole["loss"], rtol=1e-6, atol=0)
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-7)


def test_every_trained_parameter_gets_a_gradient(options):
    """DDP does not search for unused ones; `m2d_all_patches`, distillation alone and MSM-MAE are other graphs."""
    alone = [word for word in options if not word.startswith(("data.teacher", "data.valid_teacher"))]
    for run in ([*options], [*options, "model.lambda_m2d=0"], [*alone, "model.lambda_off=0"],
                [*alone, "model.lambda_off=0", "model.objective=mae"],
                [*alone, "model.lambda_off=0", "model.objective=data2vec", "model.top_layers=1"],
                [*alone, "model.lambda_off=0", "model.objective=m2d_all_patches"]):
        values, found = gradients(make(run))
        assert all(gradient is not None for gradient in found.values())
        assert values["loss"].isfinite()


def test_frozen_epochs_train_what_is_beside_the_encoder_alone(options):
    trainer = make(options, "optim.epochs=4", "optim.warmup_epochs=1", "optim.frozen_epochs=2")
    batch = trainer.data.copied(trainer.data.train[0, np.arange(4)])

    def changed(epoch):
        before = {name: value.clone() for name, value in trainer.objective.named_parameters()}
        trainer.train_step(epoch * trainer.schedule.steps_per_epoch, iter([(batch, 0.0)] * trainer.sampler.accumulate))
        return {name.split(".")[0] for name, value in trainer.objective.named_parameters()
                if value.requires_grad and not torch.equal(value, before[name])}

    assert changed(1) == {"predictor", "offline"}
    assert changed(2) == {"encoder", "predictor", "offline"}


def test_ranks_and_resuming_on_another_number(options, start, finish, state_of, tmp_path):
    """Two gloo processes, with accumulation, give the run of one; so does one that changes the number half way."""
    options = [*options, "optim.epochs=2"]
    alone = finish([*options, f"run.exp={tmp_path}/alone"])
    two = [*options, f"run.exp={tmp_path}/two", "optim.micro_batch=1", "run.keep_epochs=1", "run.keep_last=1"]
    run_on_two(two, start, tmp_path)
    assert_close_states(state_of(two), alone)
    assert len(state_of(two)["rng"]) == 2
    # back to the end of the first epoch, then on with one process
    (tmp_path / "two/done").unlink()
    (tmp_path / "two/checkpoints/step_000000010.pt").unlink()
    assert_close_states(finish(two), alone)
    assert "resumed after step 5" in (tmp_path / "two/train.log").read_text()


def test_torchrun_stopped_by_a_signal(options, start, state_of, tmp_path):
    """The real torchrun: the losses of one process; TERM to the agent stops the ranks in order; one process goes on."""
    options = [*options, "optim.epochs=2000", "run.log_steps=2"]
    metrics = tmp_path / "two/metrics.jsonl"
    two = [*options, f"run.exp={tmp_path}/two"]
    with open(tmp_path / "out", "w") as out:
        torchrun = subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
             "-m", "m2d.bin.pretrain", *two], stdout=out, stderr=out, env={**os.environ, "OMP_NUM_THREADS": "1"})
    wait_for_step(metrics, 10)
    torchrun.terminate()
    torchrun.wait()
    assert "asked to stop: checkpoint written" in (tmp_path / "two/train.log").read_text()
    assert "torch.distributed.run --nproc-per-node 2 -m m2d.bin.pretrain data.speech=" in \
        (tmp_path / "two/replay.sh").read_text()
    stopped = state_of(two)["step"]
    assert train_lines(metrics)[-1]["step"] == stopped

    for exp, last in (("two", stopped + 2), ("one", 10)):
        run = start([*options, f"run.exp={tmp_path}/{exp}"])
        wait_for_step(tmp_path / exp / "metrics.jsonl", last)
        os.kill(run.pid, signal.SIGTERM)
        assert run.wait() == os.EX_TEMPFAIL
    one, two = (train_lines(tmp_path / exp / "metrics.jsonl") for exp in ("one", "two"))
    for name in ("loss", "m2d", "off", "grad_norm", "lr", "ema_rate"):
        assert [line[name] for line in two[:10]] == pytest.approx([line[name] for line in one[:10]], rel=1e-3)
    assert [line["step"] for line in two] == list(range(1, len(two) + 1))


def train_lines(path):
    return [line for line in read_metrics(path) if "loss" in line]


def wait_for_step(path, step, seconds=120):
    end = time.monotonic() + seconds
    while not path.exists() or not any(line["step"] >= step for line in train_lines(path)):
        assert time.monotonic() < end
        time.sleep(0.01)


def run_on_two(options, start, tmp_path):
    port = str(20000 + hash(str(tmp_path)) % 20000)
    runs = [start(options, env={"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
                                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}) for rank in range(2)]
    for run in runs:
        assert run.wait() == 0, run.said()
    assert "effective batch 4 = 2 ranks x 2 accumulated x 1" in Path(tmp_path, "two/train.log").read_text()


def assert_close_states(one, other):
    assert one["step"] == other["step"]
    torch.testing.assert_close(without_key_bias(one["model"]), without_key_bias(other["model"]), rtol=1e-3, atol=1e-5)


def without_key_bias(state):
    """Softmax does not see the bias of the keys: its gradient is rounding alone, which AdamW scales up to steps."""
    return {name: value.view(3, -1)[[0, 2]] if name.endswith("qkv.bias") else value for name, value in state.items()}


def test_a_batch_that_cannot_be_divided_is_refused(options):
    with pytest.raises(UserError, match="batch of 5: can't be divided among 1 ranks x 3 accumulated parts"):
        make(options, "optim.batch_size=5", "optim.micro_batch=2")
