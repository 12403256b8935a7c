"""The options of pre-training. Defaults are those of M2D (section 4.1); M2D-S differs by its YAML files."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from m2d.common.config import option
from m2d.common.errors import UserError
from m2d.nn.config import ModelConfig
from m2d.training.data_modules import DATA_MODULES


@dataclass
class ImageOptions:
    """Images, for data.kind=images and labelled_images. A list is a folder that `m2d.bin.index_images` writes.

    `per_class` and what follows it apply to labelled images.
    """

    train: str | None = option(None, "list of the training images")
    valid: str | None = option(None, "list of held-out images")
    mean: list[float] | None = option(None, "mean of each channel, in 0..1 (default: stats.json of data.image.train)")
    std: list[float] | None = option(None, "deviation of each channel (default: stats.json of data.image.train)")
    crop_scale: list[float] = option(factory=lambda: [0.2, 1.0], help="random resized crop: least and most of the area")
    flip: float = option(0.5, "probability of a horizontal flip")
    per_class: int = option(0, "training images of each class, drawn by run.seed; 0: all")
    rand_augment: str | None = option(None, "timm's policy string of RandAugment")
    erase: float = option(0.0, "probability of random erasing")
    mixup: float = option(0.0, "Mixup's alpha")
    cutmix: float = option(0.0, "CutMix's alpha; with Mixup, each batch gets one of the two")
    label_smoothing: float = option(0.0, "share of a label that is spread over all classes")


@dataclass
class DataOptions:
    """What is read. A store is a directory of packed frames as `extract_logmel` and `extract_teacher` write them."""

    kind: str = option("audio", "kind of data: a module of m2d.training.data_modules by its name")
    speech: str | None = option(None, "store of the training log-mels (or of any audio, for plain M2D)")
    teacher: str | None = option(None, "store of their teacher frames, for model.lambda_off > 0")
    noise: str | None = option(None, "store of background-noise log-mels, for data.noise_ratio > 0")
    noise_ratio: float = option(0.0, "share of noise in the mixture, alpha of M2D-S (0 speech alone, 1 noise alone)")
    valid: str | None = option(None, "store of held-out log-mels for the validation loss")
    valid_teacher: str | None = option(None, "store of their teacher frames, for model.lambda_off > 0")
    mean: float | None = option(None, "mean of the log-mels (default: stats.json of data.speech)")
    std: float | None = option(None, "standard deviation of the log-mels (default: stats.json of data.speech)")
    noise_mean: float | None = option(None, "mean of the noise log-mels (default: stats.json of data.noise)")
    image: ImageOptions = option(factory=ImageOptions)
    workers: int | None = option(None, "loader processes per rank, each 4 batches ahead in /dev/shm (default: by the "
                                       "CPUs per rank, 1 to 4); 0: the training process reads")


@dataclass
class OptimOptions:
    """AdamW and its schedules (M2D section 4.1; betas, decay and the schedule's form are MAE's)."""

    batch_size: int = option(2048, "effective batch: samples per optimiser step over all ranks and accumulation")
    micro_batch: int = option(0, "samples per forward pass on one device, at most; 0: what fits its memory")
    base_lr: float = option(3e-4, "learning rate per 256 samples: lr = base_lr * batch_size / 256")
    epochs: int = option(300, "epochs; one consumes every training utterance once")
    warmup_epochs: float = option(20, "epochs of linear warm-up, before the half-cosine to 0")
    betas: list[float] = option(factory=lambda: [0.9, 0.95], help="AdamW's betas")
    eps: float = option(1e-8, "AdamW's epsilon")
    weight_decay: float = option(0.05, "weight decay, except on biases and other 1-d parameters")
    layer_decay: float = option(1.0, "learning rate of each encoder block over the next one's, for fine-tuning")
    clip_norm: float = option(3.0, "the gradient's norm is clipped to this")
    ema_start: float = option(0.99995, "EMA rate of the target at the first step")
    ema_end: float = option(0.99999, "EMA rate of the target at the last step; linear between")


@dataclass
class RunOptions:
    """How a run is carried out and watched."""

    exp: str = option(MISSING, "experiment directory; holding checkpoints of this run, it is resumed")
    seed: int = option(0, "seed of weights, order, crops, noise and masks")
    device: str = option("auto", "auto (CUDA where there is one), cuda, cpu")
    dtype: str = option("auto", "fp32, bf16 (autocast; weights and optimiser stay fp32); auto: as the run began, "
                                "a new one bf16 on a GPU that has it, else fp32")
    compile: bool = option(False, "torch.compile the objective")
    log_steps: int = option(20, "steps between readings of the losses, and progress lines")
    valid_epochs: int = option(1, "epochs between validation losses, for data.valid")
    checkpoint_minutes: float = option(10.0, "minutes between checkpoints")
    keep_last: int = option(2, "newest checkpoints that are kept")
    keep_epochs: int = option(100, "a checkpoint at every so many epochs is kept for good; 0: none")
    max_skipped: int = option(20, "stop after so many non-finite steps in a row")
    init_from: str | None = option(None, "weights for a new run: checkpoint, published .pth file, or model directory")
    allow_config_change: bool = option(False, "resume although options (not data) that shape the result have changed")


@dataclass
class Settings:
    """All options of `python -m m2d.bin.pretrain`, not held against each other: a YAML file may leave the data open."""

    data: DataOptions = option(factory=DataOptions)
    model: ModelConfig = option(factory=ModelConfig)
    optim: OptimOptions = option(factory=OptimOptions)
    run: RunOptions = option(factory=RunOptions)


@dataclass
class PretrainConfig(Settings):
    """The options of a run. Raises `UserError` for values that do not fit together."""

    def __post_init__(self) -> None:
        for name, section in plain(self).items():
            for key, value in section.items():
                if isinstance(value, float) and not math.isfinite(value):
                    raise UserError(f"{name}.{key}={value} is not a finite number")
        if self.data.workers is not None and self.data.workers < 0:
            raise UserError(f"data.workers={self.data.workers} is negative")
        DATA_MODULES.get(self.data.kind).check(self)
        self._check_optim()
        self._check_run()

    def _check_optim(self) -> None:
        optim = self.optim
        if min(optim.batch_size, optim.epochs) < 1 or optim.micro_batch < 0:
            raise UserError("optim.batch_size and optim.epochs must be positive, optim.micro_batch not negative")
        if not 0 <= optim.warmup_epochs < optim.epochs:
            raise UserError(f"optim.warmup_epochs={optim.warmup_epochs} must be less than optim.epochs={optim.epochs}")
        if not 0 <= optim.ema_start <= 1 or not 0 <= optim.ema_end <= 1:
            raise UserError("optim.ema_start and optim.ema_end are rates between 0 and 1")
        if len(optim.betas) != 2 or not all(0 <= beta < 1 for beta in optim.betas):
            raise UserError("optim.betas are two numbers from 0, below 1")
        for key in ("weight_decay", "base_lr"):
            if getattr(optim, key) < 0:
                raise UserError(f"optim.{key}={getattr(optim, key)} is negative")
        for key in ("eps", "clip_norm"):
            if getattr(optim, key) <= 0:
                raise UserError(f"optim.{key}={getattr(optim, key)} must be positive")
        if not 0 < optim.layer_decay <= 1:
            raise UserError(f"optim.layer_decay={optim.layer_decay} must be above 0 and at most 1")

    def _check_run(self) -> None:
        run = self.run
        if run.device not in ("auto", "cuda", "cpu"):
            raise UserError(f"run.device={run.device} is not one of auto, cuda, cpu")
        if run.dtype not in ("auto", "fp32", "bf16"):
            raise UserError(f"run.dtype={run.dtype} is not one of auto, fp32, bf16")
        if run.checkpoint_minutes < 0:
            raise UserError(f"run.checkpoint_minutes={run.checkpoint_minutes} is negative")
        if min(run.log_steps, run.valid_epochs, run.keep_last, run.max_skipped) < 1 or run.keep_epochs < 0:
            raise UserError("run.log_steps, valid_epochs, keep_last and max_skipped must be positive, "
                            "keep_epochs not negative")


# Options that do not shape the result (beyond rounding): they may differ between the runs of one experiment.
FREE = frozenset({
    "data.workers", "optim.micro_batch", "run.exp", "run.device", "run.log_steps", "run.checkpoint_minutes",
    "run.keep_last", "run.keep_epochs", "run.max_skipped", "run.valid_epochs", "run.allow_config_change",
    "model.activation_checkpointing", "model.teacher_width",  # the store's
})


def plain(config: Any) -> dict[str, Any]:
    """The resolved options as nested plain dictionaries, fit for a checkpoint."""
    return dataclasses.asdict(config)


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """`key: old -> new` for every option that shapes the result and differs between two `plain` dictionaries.

    An option that `before` lacks, written by an older version, had its default. `run.dtype=auto` is whatever it was.
    """
    return _changes(before, now, plain(Settings()), "")


def _changes(before: dict[str, Any], now: dict[str, Any], defaults: dict[str, Any], prefix: str) -> list[str]:
    found = []
    for name in sorted({*before, *now}):
        default = defaults.get(name)
        old, new, key = before.get(name, default), now.get(name), prefix + name
        if isinstance(old, dict) and isinstance(new, dict):
            found += _changes(old, new, default, f"{key}.")
        elif old != new and key not in FREE and (key, new) != ("run.dtype", "auto"):
            found.append(f"{key}: {old} -> {new}")
    return found
