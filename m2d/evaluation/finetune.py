"""Fine-tuning the whole network on one task (M2D, section 4.1 and table 2).

Epochs are functions of (seed, epoch) alone: order and augmentation are drawn anew at the start of each, so that a run
resumed from the checkpoint of its last whole epoch goes on exactly.
"""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from m2d.audio.logmel import normalise
from m2d.common.config import option
from m2d.common.errors import UserError
from m2d.common.files import atomic_open
from m2d.common.progress import progress
from m2d.common.schedules import warmup_cosine
from m2d.evaluation.augment import mixup, random_resize_crop, spec_augment
from m2d.evaluation.classifier import Classifier, freeze_patch_embedding
from m2d.evaluation.models import digest
from m2d.evaluation.scores import mean_average_precision
from m2d.evaluation.task import Task
from m2d.nn.encoder import Encoder

LOG = logging.getLogger(__name__)
MOMENTUM = 0.9


@dataclass
class TuneOptions:
    """Settings of one task; conf/ holds those of table 2 and those of the public scripts."""

    lr: float = option(0.5, "peak learning rate")
    optimizer: str = option("sgd", "sgd (momentum 0.9) or adamw")
    weight_decay: float = option(0.0, "weight decay of all parameters")
    epochs: int = option(200, "epochs")
    warmup_epochs: int = option(5, "epochs of linear warm-up, before the half-cosine to 0")
    batch_size: int = option(128, "clips per step")
    mixup: float = option(0.0, "Mixup's alpha; 0: none")
    rrc: bool = option(False, "Random Resize Crop")
    patchout: float = option(0.0, "Structured Patchout: share of patches dropped in training")
    freq_mask: int = option(0, "SpecAugment: widest band masked, in bins")
    time_mask: int = option(0, "SpecAugment: longest stretch masked, in frames")
    freeze_patch_embed: bool = option(False, "leave the patch embedding as pre-trained")
    bf16: bool = option(False, "run the encoder in bfloat16 (autocast)")

    def __post_init__(self) -> None:
        if self.optimizer not in ("sgd", "adamw"):
            raise UserError(f"optimizer '{self.optimizer}' is not one of sgd, adamw")
        if not 0 <= self.patchout < 1:
            raise UserError(f"patchout {self.patchout} must be at least 0 and less than 1")
        if not 0 <= self.warmup_epochs < self.epochs:
            raise UserError(f"warmup_epochs={self.warmup_epochs} must be less than epochs={self.epochs}")
        if min(self.mixup, self.freq_mask, self.time_mask) < 0 or self.batch_size < 2:
            raise UserError("mixup, freq_mask and time_mask must not be negative, batch_size must be at least 2")

    def lr_at(self, epoch: float) -> float:
        """Learning rate after so many (fractional) epochs."""
        return self.lr * warmup_cosine(epoch, self.warmup_epochs, self.epochs)


class TaskArrays:
    """Log-mels `[clips, T, F]` (memory-mapped, float16), label weights `[clips, C]` and rows of each part of a task."""

    def __init__(self, task: Task, logmels: np.ndarray, mean: float, std: float, device: str):
        self.task, self.logmels, self.mean, self.std = task, logmels, mean, std
        self.device = torch.device(device)
        self.targets = task.targets()
        usable = [not np.isnan(logmels[row, 0, 0]) for row in range(len(task.clips))]
        parts = np.array([clip.part if ok else "" for clip, ok in zip(task.clips, usable, strict=True)])
        self.rows = {part: np.flatnonzero(parts == part) for part in task.parts}

    def divide(self, fold: str | None) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Rows to train, validate (None where the task has no validation part) and test on."""
        if fold is None:
            return self.rows["train"], self.rows.get("valid"), self.rows["test"]
        return np.concatenate([rows for part, rows in self.rows.items() if part != fold]), None, self.rows[fold]

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Raw log-mels `[B, T, F]` float32 and label weights `[B, C]` on the device."""
        logmel = torch.from_numpy(self.logmels[rows]).to(self.device).float()
        return logmel, torch.from_numpy(self.targets[rows]).to(self.device)

    def network_input(self, logmel: Tensor) -> Tensor:
        """Raw `[B, T, F]` -> normalised `[B, 1, F, T]`."""
        return normalise(logmel, self.mean, self.std).transpose(1, 2)[:, None]


def finetune(encoder: Encoder, data: TaskArrays, fold: str | None, options: TuneOptions, seed: int,
             directory: str | Path) -> dict[str, Any]:
    """Train on one split or fold.

    Returns `score` in % (accuracy, or mAP for a multi-label task), `epoch` it is from, `rows` tested and the class
    with the highest score for each of them, `predictions`.

    The score is the test part's at the best validation epoch; without a validation part (AS20K, folds) at the last
    epoch, so that nothing is chosen by test scores. `directory` holds the checkpoint: an interrupted run goes on from
    its last whole epoch, a finished one is only read. Raises `UserError` if it was begun with other settings or from
    other weights.
    """
    path = Path(directory) / "checkpoint.pt"
    weights = digest(encoder)
    torch.manual_seed(seed)
    model = Classifier(encoder, len(data.task.classes), options.patchout).to(data.device)
    if options.freeze_patch_embed:
        freeze_patch_embedding(model.encoder)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.0, momentum=MOMENTUM, weight_decay=options.weight_decay) \
        if options.optimizer == "sgd" else torch.optim.AdamW(parameters, lr=0.0, weight_decay=options.weight_decay)
    train, valid, test = data.divide(fold)
    if len(train) < 2 or not len(test):
        raise UserError(f"{data.task.title}: too few usable clips to train or test on")
    settings = {"options": asdict(options), "seed": seed, "fold": fold, "task": data.task.digest(), "weights": weights}
    done, best = 0, {"valid": -1.0, "epoch": -1, "test": None}
    if path.is_file():
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved["settings"] != settings:
            raise UserError(f"{directory} holds a run with other settings or of another model: "
                            "remove it or give these settings another name (tuning=)")
        done, best = saved["done"], saved["best"]
        if done < options.epochs:
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
    for epoch in progress(range(done, options.epochs), f"fine-tuning on {data.task.title}, epochs"):
        loss = train_epoch(model, optimizer, data, train, options, seed, epoch)
        last = epoch + 1 == options.epochs
        valid_score = None if valid is None else score(predict(model, data, valid, options), data, valid)
        is_best = last if valid is None else valid_score > best["valid"]
        if is_best:
            best = {"valid": valid_score, "epoch": epoch, "test": predict(model, data, test, options)}
        if valid is not None:
            LOG.info("%s epoch %d: loss %.4f, validation %.2f, best %.2f at %d", data.task.title, epoch, loss,
                     valid_score, best["valid"], best["epoch"])
        elif last:
            LOG.info("%s epoch %d: loss %.4f", data.task.title, epoch, loss)
        with atomic_open(path, "wb") as stream:
            torch.save({"settings": settings, "done": epoch + 1, "best": best} | ({} if last else {
                "model": model.state_dict(), "optimizer": optimizer.state_dict()}), stream)
    return {"score": score(best["test"], data, test), "epoch": best["epoch"], "rows": test,
            "predictions": best["test"].argmax(1).numpy()}


def train_epoch(model: Classifier, optimizer: torch.optim.Optimizer, data: TaskArrays, rows: np.ndarray,
                options: TuneOptions, seed: int, epoch: int) -> float:
    """One pass over `rows` in an order of its own; returns the mean loss."""
    model.train()
    order = np.random.default_rng([seed, epoch]).permutation(rows)
    torch.manual_seed(seed * 1_000_003 + epoch)
    batches = np.array_split(order, math.ceil(len(order) / options.batch_size))
    total = torch.zeros((), device=data.device)
    for step, batch in enumerate(batches):
        logmel, targets = mixup(*data.batch(batch), options.mixup)
        x = data.network_input(logmel)
        if options.rrc:
            x = random_resize_crop(x)
        x = spec_augment(x, options.freq_mask, options.time_mask)
        with torch.autocast(data.device.type, torch.bfloat16, enabled=options.bf16):
            logits = model(x)
        loss = F.binary_cross_entropy_with_logits(logits.float(), targets) if data.task.multilabel \
            else F.cross_entropy(logits.float(), targets)
        for group in optimizer.param_groups:
            group["lr"] = options.lr_at(epoch + step / len(batches))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach()
    return total.item() / len(batches)


def predict(model: Classifier, data: TaskArrays, rows: np.ndarray, options: TuneOptions) -> Tensor:
    """Logits `[rows, classes]` float32 on the CPU, without augmentation."""
    model.eval()
    logits = []
    with torch.inference_mode(), torch.autocast(data.device.type, torch.bfloat16, enabled=options.bf16):
        for batch in np.array_split(rows, math.ceil(len(rows) / options.batch_size)):
            logits.append(model(data.network_input(data.batch(batch)[0])).float().cpu())
    return torch.cat(logits)


def score(logits: Tensor, data: TaskArrays, rows: np.ndarray) -> float:
    """Accuracy in %, or mAP x 100 for a multi-label task."""
    targets = data.targets[rows]
    if data.task.multilabel:
        return 100 * mean_average_precision(targets, logits.numpy())
    return 100 * float((logits.argmax(1).numpy() == targets.argmax(1)).mean())
