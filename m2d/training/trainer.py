"""The pre-training loop: data module -> objective -> backward -> clip -> step -> target."""

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed import ReduceOp

from m2d.common.errors import UserError
from m2d.common.schedules import set_lr
from m2d.data.sampler import GlobalSampler
from m2d.nn import ObjectiveOutput
from m2d.nn.summary import activation_bytes
from m2d.training.checkpoint import CheckpointWriter
from m2d.training.config import PretrainConfig, plain
from m2d.training.data_modules import Batch, DataModule, open_data
from m2d.training.distributed import Ranks, open_ranks
from m2d.training.experiment import Experiment
from m2d.training.figures import draw_figures
from m2d.training.memory import available_bytes, micro_batch
from m2d.training.monitor import Monitor
from m2d.training.optim import Schedule, build_optimizer
from m2d.training.signals import StopFlag
from m2d.training.trouble import explained
from m2d.training.weights import start_from

LOG = logging.getLogger(__name__)

GO_ON, REPORT, CHECKPOINT, STOP = range(4)

Probe = Callable[[nn.Module, dict[str, Any]], dict[str, float]]
"""Scores of an encoder, in evaluation mode, whose inputs are normalised by these statistics."""


class Step(NamedTuple):
    """Record of one optimiser step on this rank."""

    values: dict[str, Tensor]  # scalars on the device: losses, monitors, grad_norm, skipped (0 or 1)
    ids: list[str]  # of its samples
    waited: float  # seconds for data


def pretrain(config: PretrainConfig, open_probe: Callable[[str], Probe] | None = None) -> int:
    """Start or resume the pre-training that the options describe. Returns the exit status of `m2d.bin.pretrain`.

    `open_probe` makes the probe of the task that `run.probe_task` names.

    0: finished, now or before. 75: stopped by a signal after writing a checkpoint; the same command resumes.
    Raises `OtherRunError` (status 65) if `run.exp` holds a run with other options or data, and `UserError` for
    everything else that the user can fix.
    """
    with StopFlag() as stop, open_ranks(config.run.device) as ranks, Experiment(config, ranks) as experiment:
        with explained(config):
            data = open_data(config, ranks.device)
            experiment.find_run(data.identity())
            if experiment.finished:
                LOG.info("%s: this run is finished; nothing to do", experiment.directory)
                return 0
            trainer = Trainer(config, ranks, data)
            if config.run.probe_task and open_probe is not None:
                trainer.watch(open_probe)
            if experiment.resumed is not None:
                trainer.restore(experiment.resumed)
                experiment.resumed = None  # its memory
            elif config.run.init_from:
                seen = start_from(trainer.objective, config.run.init_from)
                trainer.data.warn_of_statistics(seen, config.run.init_from)
            return trainer.run(experiment, stop)


class Trainer:
    """A run on one rank. `UserError` for data that do not fit the model, a batch that ranks can't divide."""

    def __init__(self, config: PretrainConfig, ranks: Ranks, data: DataModule):
        self.config = config = data.config
        self.ranks, self.data = ranks, data
        torch.manual_seed(config.run.seed)  # the same weights on all ranks
        self.objective = self.data.build_objective().to(ranks.device)
        self.optimizer = build_optimizer(self.objective, config.optim)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.sampler = GlobalSampler(data.train_size, config.optim.batch_size, config.optim.epochs, rank=ranks.rank,
                                     ranks=ranks.size, accumulate=self._parts(), seed=config.run.seed)
        self.schedule = Schedule(config.optim, self.sampler.steps_per_epoch)
        self.counters: dict[str, int] | None = None
        self.is_watched, self.probe = False, None
        if config.run.compile:
            self.objective.compile(dynamic=False)  # only the last batch of a validation has another shape
        self.model = ranks.wrap(self.objective)
        if 0 < self.data.valid_size < ranks.size:
            raise UserError(f"{self.data.valid_size} held-out samples for {ranks.size} ranks: hold out more")

    def _parts(self) -> int:
        """Number of micro-batches in a rank's share of the batch: by `micro_batch`, else by the memory."""
        optim, ranks = self.config.optim, self.ranks
        share = optim.batch_size // ranks.size
        if optim.micro_batch:
            return max(1, -(-share // optim.micro_batch))
        size = micro_batch(share, self._bytes_of_pass, available_bytes(ranks.device) - self._bytes_to_come())
        return ranks.agree(max(1, share // size))

    def _bytes_to_come(self) -> int:
        """Memory that only the first step allocates: AdamW's moments, DDP's buckets."""
        return sum(p.numel() for p in self.parameters) * (8 + 4 * (self.ranks.size > 1))

    def _bytes_of_pass(self, samples: int) -> int:
        """Peak memory of a forward and backward pass: measured on a GPU, estimated on a CPU."""
        device = self.ranks.device
        if device.type != "cuda":
            return samples * activation_bytes(self.config.model, self.config.run.dtype == "bf16")
        batch = {name: value.repeat(samples, *[1] * (value.ndim - 1)) if isinstance(value, Tensor) else samples * value
                 for name, value in self.data.copied(self.data.example()).items()}
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        try:
            with torch.random.fork_rng([device]):
                self._forward(self.objective, batch).loss.backward()
            return torch.cuda.max_memory_allocated(device)
        finally:
            self.optimizer.zero_grad()

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint. Raises `UserError` if it does not fit the data."""
        self.sampler.load_state_dict(state["data"])
        self.objective.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.counters = state["monitor"]
        if len(state["rng"]) == self.ranks.size:  # else on another number of ranks: the fresh states do as well
            _set_rng_state(state["rng"][self.ranks.rank], self.ranks.device)
        LOG.info("resumed after step %d (epoch %.2f)", state["step"], state["epoch"])

    def state(self, step: int, counters: dict[str, int]) -> dict[str, Any]:
        """A checkpoint after `step` steps (layout: `m2d.training.checkpoint`). All ranks call it."""
        return {
            "model": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "config": plain(self.config),
            "identity": self.data.identity(),
            "statistics": self.data.statistics,
            "step": step,
            "epoch": step / self.schedule.steps_per_epoch,
            "data": self.sampler.state_dict(step),
            "rng": self.ranks.gather(_rng_state(self.ranks.device)),
            "monitor": counters,
        }

    def train_step(self, step: int, batches: Iterator[tuple[Batch, float]]) -> Step:
        """Step `step`, from 0. A loss or gradient that is not finite changes no weight or moment: `skipped` is 1."""
        set_lr(self.optimizer, self.schedule.lr(step))
        self.optimizer.zero_grad()
        sums: dict[str, Tensor] = {}
        ids, waited, parts = [], 0.0, self.sampler.accumulate
        for part in range(parts):
            batch, seconds = next(batches)
            # Gradients are averaged over the ranks with the last part. DDP learns its static graph in a first step that
            # averages with each: the sum is the same.
            is_averaged = part == parts - 1 or step == self.sampler.step or self.ranks.size == 1
            with contextlib.nullcontext() if is_averaged else self.model.no_sync():
                output = self._forward(self.model, batch)
                (output.loss / parts).backward()
            for name, value in {"loss": output.loss.detach(), **output.terms, **output.monitor}.items():
                sums[name] = sums.get(name, 0) + value / parts
            ids += batch["ids"]
            waited += seconds
        if step < self.config.optim.frozen_epochs * self.schedule.steps_per_epoch:
            self.objective.encoder.zero_grad()  # to None: the optimiser passes over it, its moments begin later
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.optim.clip_norm)
        skipped = self.ranks.reduce_((~(norm.isfinite() & sums["loss"].isfinite())).float(), ReduceOp.MAX)
        self.optimizer.grad_scale, self.optimizer.found_inf = None, skipped  # as GradScaler tells fused AdamW to skip
        self.optimizer.step()
        self.objective.update_target(self.schedule.ema_rate(step))
        return Step({**sums, "grad_norm": norm, "skipped": skipped}, ids, waited)

    def _forward(self, model: nn.Module, batch: Batch) -> ObjectiveOutput:
        inputs = self.data.inputs(batch)
        with torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.config.run.dtype == "bf16"):
            return model(**inputs)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean losses over the held-out set: the same crops, noise and masks every time."""
        names, sums = [], 0
        self.objective.eval()
        for batch in self.data.validation_batches(self.sampler.local_batch, self.ranks.rank, self.ranks.size):
            output = self._forward(self.objective, batch)
            values = {"loss": output.loss, **output.terms}
            names, count = list(values), len(batch["ids"])
            sums = sums + count * torch.stack([*values.values(), torch.ones_like(output.loss)])
        self.objective.train()
        *means, count = self.ranks.reduce_(sums).tolist()
        return {name: value / count for name, value in zip(names, means, strict=True)}

    def watch(self, open_probe: Callable[[str], Probe]) -> None:
        """Probe the encoder on the task `run.probe_task` from now on. Rank 0 does so; the others wait."""
        self.is_watched = True

        def open_here() -> None:
            self.probe = open_probe(self.config.run.probe_task)

        self.ranks.on_main(open_here)

    def probed(self) -> dict[str, float]:
        """What the probe says of the encoder; nothing on other ranks than 0."""
        if self.probe is None:
            return {}
        self.objective.eval()
        scores = self.probe(self.objective.encoder, self.data.statistics)
        self.objective.train()
        return scores

    def run(self, experiment: Experiment, stop: StopFlag) -> int:
        """Train from the sampler's position to the last step or a stop request. Returns the exit status."""
        run, first, total = self.config.run, self.sampler.step, self.schedule.total_steps
        per_epoch = self.schedule.steps_per_epoch
        monitor = Monitor(experiment.directory, self.schedule, self.ranks, run.max_skipped, first, self.counters)
        writer = CheckpointWriter(experiment.checkpoints, run.keep_last, run.keep_epochs * per_epoch) \
            if self.ranks.is_main else None
        self._introduce()
        if self.is_watched and first == 0:
            monitor.measure("probe", self.probed)
        batches, saved = self.data.training_batches(self.sampler), time.monotonic()
        done = first
        for step in range(first, total):
            monitor.step(*self.train_step(step, batches))
            done = step + 1
            due = self.ranks.is_main and time.monotonic() - saved >= 60 * run.checkpoint_minutes
            word = self.ranks.agree(STOP if stop.requested else CHECKPOINT if due else
                                    REPORT if monitor.is_silent else GO_ON)
            if done % run.log_steps == 0 or word == REPORT:
                monitor.flush()
            if self.data.valid_size > 0 and done % (run.valid_epochs * per_epoch) == 0:
                monitor.measure("valid", self.validate)
            if self.is_watched and (done % (run.probe_epochs * per_epoch) == 0 or done == total):
                monitor.measure("probe", self.probed)
            is_kept = run.keep_epochs > 0 and done % (run.keep_epochs * per_epoch) == 0
            if word >= CHECKPOINT or is_kept or done == total:
                state = self.state(done, monitor.state())
                if writer is not None:
                    LOG.info("checkpoint after step %d: training stood still for %.3f s", done, writer.save(state))
                saved = time.monotonic()
            elif writer is not None:
                writer.check()
            if word == STOP and done < total:
                break
        monitor.close()
        if writer is not None:
            writer.wait()
        if done < total:
            LOG.warning("asked to stop: checkpoint written after step %d; the same command goes on", done)
            return os.EX_TEMPFAIL
        if self.ranks.is_main:
            self._finish(experiment)
        return 0

    def _finish(self, experiment: Experiment) -> None:
        try:
            draw_figures(experiment.directory, self.objective, self.data)
        except Exception as error:  # whatever the reason, the run itself is complete
            LOG.warning("the figures could not be drawn (%s: %s): once that is mended, remove %s and run the same "
                        "command again", type(error).__name__, error, experiment.directory / "done")
        experiment.mark_done(self.schedule.total_steps)
        LOG.info("finished after step %d", self.schedule.total_steps)

    def _introduce(self) -> None:
        if not self.ranks.is_main:
            return
        optim, sampler = self.config.optim, self.sampler
        everything, trained = (sum(p.numel() for p in group) / 1e6
                               for group in (self.objective.parameters(), self.parameters))
        LOG.info("%.1f M parameters, %.1f M trained, on %s, %s, %d loader workers", everything, trained,
                 self.ranks.device, self.config.run.dtype, self.data.workers)
        LOG.info("%d samples, %d steps in an epoch, %d epochs", self.data.train_size, sampler.steps_per_epoch,
                 optim.epochs)
        LOG.info("effective batch %d = %d ranks x %d accumulated x %d; peak learning rate %g = %g x %d / 256",
                 optim.batch_size, sampler.ranks, sampler.accumulate, sampler.local_batch, self.schedule.peak_lr,
                 optim.base_lr, optim.batch_size)


def _rng_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_rng_state(state: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
