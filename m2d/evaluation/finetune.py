"""Fine-tuning the whole network on one task (M2D, section 4.1 and table 2).

Order and augmentation of an epoch are functions of (seed, epoch), so that a run resumes exactly from the checkpoint of
a complete epoch.
"""

import logging
import math
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from m2d.audio.logmel import normalise
from m2d.common.errors import UserError
from m2d.common.files import atomic_open
from m2d.common.progress import progress
from m2d.common.schedules import set_lr
from m2d.common.threads import read_ahead
from m2d.evaluation.augment import mixup, random_resize_crop, spec_augment
from m2d.evaluation.scores import main_score
from m2d.evaluation.task import Task
from m2d.evaluation.tuning import Classifier, TuneOptions, build_optimizer, class_weights, epoch_order, freeze
from m2d.nn.encoder import Encoder
from m2d.pretrained.models import digest

LOG = logging.getLogger(__name__)
CHECKPOINT, BEST = "checkpoint.pt", "best.safetensors"
SAVE_EVERY_S = 30.0
"""Seconds between checkpoints (of whole epochs): an epoch of few clips is shorter than writing a large model."""


class TaskArrays:
    """Log-mels `[clips, T, F]` (memory-mapped, float16), label weights `[clips, C]` and rows of each part of a task."""

    def __init__(self, task: Task, logmels: np.ndarray, mean: float, std: float, device: str):
        self.task, self.logmels, self.mean, self.std = task, logmels, mean, std
        self.device = torch.device(device)
        self.targets = task.targets()
        usable = [not np.isnan(logmels[row, 0, 0]) for row in range(len(task.clips))]
        parts = np.array([clip.part if ok else "" for clip, ok in zip(task.clips, usable, strict=True)])
        self.rows = {part: np.flatnonzero(parts == part) for part in task.parts}

    def divide(self, fold: str | None, valid_share: float = 0.0,
               seed: int = 0) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Rows to train, validate, test on; without a validation part `valid_share` of the training ones, or None."""
        if fold is None:
            train, valid, test = self.rows["train"], self.rows.get("valid"), self.rows["test"]
        else:
            train = np.concatenate([rows for part, rows in self.rows.items() if part != fold])
            valid, test = None, self.rows[fold]
        if valid is None and valid_share:
            drawn = np.random.default_rng([seed, 1]).permutation(train)
            cut = max(1, round(valid_share * len(drawn)))
            train, valid = np.sort(drawn[cut:]), np.sort(drawn[:cut])
        return train, valid, test

    def batches(self, parts: Iterable[np.ndarray]) -> Iterator[tuple[Tensor, Tensor]]:
        """Raw log-mels `[B, T, F]` float32 and label weights `[B, C]` of each of `parts`, on the device, read ahead."""
        for logmel, targets in read_ahead(self._read, parts):
            yield logmel.to(self.device, non_blocking=True).float(), targets.to(self.device, non_blocking=True)

    def _read(self, rows: np.ndarray) -> list[Tensor]:
        read = [torch.from_numpy(self.logmels[rows]), torch.from_numpy(self.targets[rows])]
        return [part.pin_memory() for part in read] if self.device.type == "cuda" else read

    def network_input(self, logmel: Tensor) -> Tensor:
        return normalise(logmel, self.mean, self.std).transpose(1, 2)[:, None]


@dataclass
class Tuned:
    """One finished run: test score in %, the epoch it is from, test rows and their logits `[rows, C]`, its curve.

    `curve` holds the validation score in % of each epoch; it is empty without a validation part.
    """

    score: float
    epoch: int
    rows: np.ndarray
    logits: np.ndarray
    curve: list[float]


def finetune(encoder: Encoder, data: TaskArrays, fold: str | None, options: TuneOptions, seed: int,
             directory: str | Path, keep: bool = False) -> Tuned:
    """Train on one split or fold.

    The score is the test part's at the best validation epoch; without a validation part (AS20K, folds) at the last
    epoch, so that nothing is chosen by test scores. `directory` holds the checkpoint: an interrupted run goes on from
    its last saved epoch, a finished one is only read, one of other settings, data or weights is put aside
    (`before_checkpoint.pt`) and done again. With `keep` the weights of the counted epoch are left there too
    (`best_weights`).
    """
    directory = Path(directory)
    settings = {"options": asdict(options), "seed": seed, "fold": fold, "task": data.task.digest(),
                "weights": digest(encoder), "mean": data.mean, "std": data.std, "keep": keep}
    torch.manual_seed(seed)
    model = Classifier(encoder, len(data.task.classes), options.patchout).to(data.device)
    freeze(model, options)
    optimizer = build_optimizer(model, options)
    train, valid, test = data.divide(fold, options.valid_share, seed)
    if len(train) < 2 or not len(test):
        raise UserError(f"{data.task.title}: too few usable clips to train or test on")
    if options.patience and valid is None:
        raise UserError(f"{data.task.title} has no validation part: patience needs one, or valid_share")
    state = _resume(directory / CHECKPOINT, settings, model, optimizer)
    best: dict[str, Tensor] = {}  # weights that are not written yet
    saved = time.monotonic()
    for epoch in progress(range(state["done"], options.epochs), f"fine-tuning on {data.task.title}, epochs"):
        if state["finished"]:
            break
        loss = train_epoch(model, optimizer, data, train, options, seed, epoch)
        last = epoch + 1 == options.epochs
        score = None
        if valid is not None:
            score = 100 * main_score(data.targets[valid], predict(model, data, valid, options), data.task.multilabel)
            state["curve"].append(score)
        if last if score is None else score > state["valid"]:
            state |= {"valid": -1.0 if score is None else score, "epoch": epoch,
                      "test": torch.from_numpy(predict(model, data, test, options))}
            if keep:
                best = {name: value.cpu().clone(memory_format=torch.contiguous_format)
                        for name, value in model.state_dict().items()}
        state["done"] = epoch + 1
        state["finished"] = last or bool(options.patience and epoch - state["epoch"] >= options.patience)
        LOG.info("%s epoch %d: loss %.4f%s", data.task.title, epoch, loss, "" if score is None else
                 f", validation {score:.2f}, best {state['valid']:.2f} at {state['epoch']}")
        if state["finished"] or time.monotonic() - saved >= SAVE_EVERY_S:
            if best:
                with atomic_open(directory / BEST, "wb") as stream:
                    stream.write(safetensors.torch.save(best))
            with atomic_open(directory / CHECKPOINT, "wb") as stream:
                torch.save({"settings": settings, "state": state} | ({} if state["finished"] else {
                    "model": model.state_dict(), "optimizer": optimizer.state_dict()}), stream)
            best, saved = {}, time.monotonic()
    logits = state["test"].numpy()
    return Tuned(100 * main_score(data.targets[test], logits, data.task.multilabel), state["epoch"], test, logits,
                 state["curve"])


def best_weights(directory: str | Path, encoder: Encoder, n_classes: int, patchout: float) -> Classifier:
    """The network of the selected epoch of a finished run that was called with `keep`, on the CPU."""
    model = Classifier(encoder.cpu(), n_classes, patchout)
    model.load_state_dict(safetensors.torch.load_file(Path(directory) / BEST))
    return model.eval()


def train_epoch(model: Classifier, optimizer: torch.optim.Optimizer, data: TaskArrays, rows: np.ndarray,
                options: TuneOptions, seed: int, epoch: int) -> float:
    """One pass over `rows` in an order of its own; returns the mean loss."""
    model.train()
    order = epoch_order(rows, data.targets, options.balance, seed, epoch)
    torch.manual_seed(seed * 1_000_003 + epoch)
    weights = None
    if options.balance == "weights":
        weights = torch.from_numpy(class_weights(data.targets[rows])).to(data.device)
    batches = np.array_split(order, math.ceil(len(order) / options.batch_size))
    total = torch.zeros((), device=data.device)
    for step, batch in enumerate(data.batches(batches)):
        logmel, targets = mixup(*batch, options.mixup)
        x = data.network_input(logmel)
        if options.rrc:
            x = random_resize_crop(x)
        x = spec_augment(x, options.freq_mask, options.time_mask)
        with torch.autocast(data.device.type, torch.bfloat16, enabled=options.bf16):
            logits = model(x)
        loss = F.binary_cross_entropy_with_logits(logits.float(), targets, weights) if data.task.multilabel \
            else F.cross_entropy(logits.float(), targets, weights)
        set_lr(optimizer, options.lr_at(epoch + step / len(batches)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach()
    return total.item() / len(batches)


def predict(model: Classifier, data: TaskArrays, rows: np.ndarray, options: TuneOptions) -> np.ndarray:
    """Logits `[rows, classes]` float32, without augmentation."""
    model.eval()
    logits = []
    with torch.inference_mode(), torch.autocast(data.device.type, torch.bfloat16, enabled=options.bf16):
        for logmel, _ in data.batches(np.array_split(rows, math.ceil(len(rows) / options.batch_size))):
            logits.append(model(data.network_input(logmel)).float().cpu())
    return torch.cat(logits).numpy()


def _resume(path: Path, settings: dict[str, Any], model: Classifier,
            optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The state of a run at its last complete epoch, loaded into model and optimizer; a new one if there is none."""
    fresh: dict[str, Any] = {"done": 0, "finished": False, "valid": -1.0, "epoch": -1, "test": None, "curve": []}
    if not path.is_file():
        return fresh
    saved = torch.load(path, map_location="cpu", weights_only=True)
    if saved.get("settings") != settings:
        changed = [name for name in settings if saved.get("settings", {}).get(name) != settings[name]]
        aside = path.with_name(f"before_{path.name}")
        os.replace(path, aside)
        LOG.warning("%s: a run of other %s, now %s: fine-tuning begins anew", path, ", ".join(changed), aside.name)
        return fresh
    if not saved["state"]["finished"]:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
    return saved["state"]
