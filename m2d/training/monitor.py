"""Monitoring of a run: progress lines, metrics.jsonl, TensorBoard, warnings, the stop after non-finite steps.

Values stay on the device until `flush`, every `run.log_steps` steps or `SILENT_S` seconds, so that the loop does not
wait for them.
"""

import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from m2d.common.errors import UserError, needed
from m2d.common.files import write_text
from m2d.common.progress import duration
from m2d.training.distributed import Ranks
from m2d.training.optim import Schedule

LOG = logging.getLogger(__name__)

SILENT_S = 30.0
"""Seconds after which progress is logged although fewer than `run.log_steps` steps are done."""
MEASURES = {"valid": "validation", "probe": "probe"}

COLLAPSED = 0.05
"""Standard deviation of the standardised target over tokens (1 if independent) below which a warning is logged."""


class Monitor:
    """Records of one run. All ranks call `step`, `flush`, `measure` and `state`; rank 0 writes.

    `metrics.jsonl` has a line per optimiser step, whose `step` counts the steps done (1 is the first), and a line per
    validation and probe, whose names begin with `valid_` and `probe_`; `skipped.jsonl` has the steps that were not
    finite, with their utterances. Lines, and the points of TensorBoard's curves, are written before a checkpoint that
    counts their steps; on resuming, those past the checkpoint are removed: no step is lost or repeated.
    """

    def __init__(self, directory: Path, schedule: Schedule, ranks: Ranks, max_skipped: int, start: int = 0,
                 state: dict[str, int] | None = None):
        """Resume after `start` steps, with the counters `state` of a checkpoint (None: a new run)."""
        self.schedule, self.ranks, self.max_skipped = schedule, ranks, max_skipped
        self.skipped = (state or {}).get("skipped", 0)
        self.skipped_in_a_row = (state or {}).get("skipped_in_a_row", 0)
        self._names: list[str] = []
        self._rows: list[torch.Tensor] = []
        self._utterances: list[list[str]] = []
        self._done = self._first = start
        self._began = self._flushed = time.monotonic()
        self._waited = 0.0
        self._collapsed = False
        if ranks.is_main:
            self._metrics, self._trouble = directory / "metrics.jsonl", directory / "skipped.jsonl"
            for path in (self._metrics, self._trouble):
                kept = read_metrics(path, start) if path.exists() else []
                write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
            board = needed("torch.utils.tensorboard", "drawing a run's curves", "train")
            self._board = board.SummaryWriter(str(directory / "tensorboard"), purge_step=start + 1 if start else None)

    @property
    def _epoch(self) -> float:
        return round(self._done / self.schedule.steps_per_epoch, 6)

    def state(self) -> dict[str, int]:
        """The counters, for a checkpoint; everything recorded so far is written to disk."""
        self.flush()
        if self.ranks.is_main:
            self._board.flush()
        return {"skipped": self.skipped, "skipped_in_a_row": self.skipped_in_a_row}

    def step(self, values: dict[str, torch.Tensor], utterances: list[str], waited: float) -> None:
        """Record a step: scalars on the device (`loss`, `grad_norm`, `skipped` ...), utterances, seconds of waiting."""
        self._names = list(values)
        self._rows.append(torch.stack([value.float() for value in values.values()]))
        self._utterances.append(utterances)
        self._waited += waited

    def flush(self) -> None:
        """Write the recorded values (here the host waits). `UserError`, everywhere, at `max_skipped` bad steps."""
        if not self._rows:
            return
        table = (self.ranks.reduce_(torch.stack(self._rows)) / self.ranks.size).cpu().tolist()
        utterances, self._rows, self._utterances = self._utterances, [], []
        lines = []
        for row in table:
            step = self._done
            self._done += 1
            values = {name: value if math.isfinite(value) else None  # JSON has no NaN
                      for name, value in zip(self._names, row, strict=True)}
            lines.append({"step": self._done, "epoch": self._epoch, **values, "skipped": int(values["skipped"]),
                          "lr": self.schedule.lr(step), "ema_rate": self.schedule.ema_rate(step)})
        self._write(lines)
        self._watch(lines, utterances)
        self._flushed, self._waited = time.monotonic(), 0.0

    @property
    def is_silent(self) -> bool:
        """Whether the last progress line is `SILENT_S` seconds old."""
        return time.monotonic() - self._flushed > SILENT_S

    def measure(self, kind: str, call: Callable[[], dict[str, float]]) -> None:
        """Write what `call` returns after the steps done so far: losses (kind `valid`) or scores (kind `probe`)."""
        self.flush()  # first, so that the measurement's time is not counted as the steps'
        values = call()
        if not self.ranks.is_main:
            return
        named = {f"{kind}_{name}": value for name, value in values.items()}
        _append(self._metrics, [{"step": self._done, "epoch": self._epoch, **named}])
        self._draw(named)
        LOG.info("epoch %.2f: %s %s", self._epoch, MEASURES[kind], _listed(values))
        self._flushed = time.monotonic()

    def close(self) -> None:
        if self.ranks.is_main:
            self._board.close()

    def _write(self, lines: list[dict[str, Any]]) -> None:
        if not self.ranks.is_main:
            return
        _append(self._metrics, lines)
        means = {}
        for name in self._names:
            values = [line[name] for line in lines if line[name] is not None and not line["skipped"]]
            if values:
                means[name] = sum(values) / len(values)
        self._progress(lines, means)
        collapsed = means.get("target_std", math.inf) < COLLAPSED
        if collapsed and not self._collapsed:
            LOG.warning("the target has collapsed: its deviation over tokens is %.4f (under %g), it says the same of "
                        "every patch; lower the learning rate, lengthen the warm-up, or raise the EMA rate",
                        means["target_std"], COLLAPSED)
        self._collapsed = collapsed

    def _progress(self, lines: list[dict[str, Any]], means: dict[str, float]) -> None:
        now, last = time.monotonic(), lines[-1]
        seconds = now - self._flushed
        optim, total = self.schedule.optim, self.schedule.total_steps
        rate = len(lines) * optim.batch_size / seconds
        left = (now - self._began) / (self._done - self._first) * (total - self._done)
        skipped = self.skipped + sum(line["skipped"] for line in lines)
        terms = {name: value for name, value in means.items() if name not in ("grad_norm", "skipped")}
        LOG.info("epoch %.2f/%d step %d/%d  %s  lr %.3g  ema %.6f  %.4g samples/s  data wait %.0f%%  ETA %s%s",
                 last["epoch"], optim.epochs, self._done, total,
                 _listed(terms) or "no finite loss", last["lr"], last["ema_rate"], rate,
                 100 * self._waited / seconds, duration(left), f"  skipped {skipped}" if skipped else "")
        self._draw({**means, "lr": last["lr"], "ema_rate": last["ema_rate"], "samples_per_s": rate,
                    "data_wait": self._waited / seconds})

    def _watch(self, lines: list[dict[str, Any]], utterances: list[list[str]]) -> None:
        for line, names in zip(lines, utterances, strict=True):
            self.skipped += line["skipped"]
            self.skipped_in_a_row = (self.skipped_in_a_row + 1) * line["skipped"]
            if not line["skipped"]:
                continue
            everywhere = [name for part in self.ranks.gather(names) for name in part]
            if self.ranks.is_main:
                _append(self._trouble, [{**line, "utterances": everywhere}])
            report = f"{_listed({name: line[name] for name in self._names if name != 'skipped'})}; " \
                f"utterances {' '.join(everywhere[:8])}" + (" ..." if len(everywhere) > 8 else "")
            LOG.warning("step %d is not finite and was skipped: %s", line["step"], report)
            if self.skipped_in_a_row >= self.max_skipped:
                raise UserError(f"stopped: {self.skipped_in_a_row} steps in a row were not finite, the last is step "
                                f"{line['step']}: {report} (all in skipped.jsonl). The weights are as before them. "
                                "Look at these utterances' log-mels; else lower optim.base_lr, lengthen "
                                "optim.warmup_epochs, or use run.dtype=fp32")

    def _draw(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._board.add_scalar(name, value, self._done)


def read_metrics(path: Path, last_step: int | None = None) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl, up to `last_step`, without an incomplete last line of a killed run."""
    lines = [json.loads(text) for text in path.read_text(encoding="utf-8").split("\n")[:-1]]
    return [line for line in lines if last_step is None or line["step"] <= last_step]


def _append(path: Path, lines: list[dict[str, Any]]) -> None:
    with open(path, "a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in lines)


def _listed(values: dict[str, float | None]) -> str:
    return "  ".join(f"{name} {'nan' if value is None else format(value, '.4f')}" for name, value in values.items())
