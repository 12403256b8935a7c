"""The options of pre-training. Defaults are those of M2D (section 4.1); M2D-S differs by its YAML files."""

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from m2d.common.config import option
from m2d.common.errors import errors_at
from m2d.nn.config import ModelConfig
from m2d.training.data_modules import DATA_MODULES

LOG = logging.getLogger(__name__)
SHORT_WARMUP = 0.1
"""Share of a run that is warm-up where the settings' warm-up would take all of it."""


@dataclass
class ImageOptions:
    """Images, for data.kind=images and labelled_images. A list is a folder that `m2d.bin.index_images` writes.

    `per_class` and what follows it apply to labelled images.
    """

    train: str | None = option(None, "list of the training images")
    valid: str | None = option(None, "list of held-out images")
    mean: list[float] | None = option(None, "mean of each channel, in 0..1 (default: stats.json of data.image.train)",
                                     items=(3, 3))
    std: list[float] | None = option(None, "deviation of each channel (default: stats.json of data.image.train)",
                                    items=(3, 3))
    crop_scale: list[float] = option(factory=lambda: [0.2, 1.0], help="random resized crop: least and most of the area",
                                     within="(0, 1]", items=(2, 2))
    flip: float = option(0.5, "probability of a horizontal flip", within="[0, 1]")
    per_class: int = option(0, "training images of each class, drawn by run.seed; 0: all", within="[0, inf)")
    rand_augment: str | None = option(None, "timm's policy string of RandAugment")
    erase: float = option(0.0, "probability of random erasing", within="[0, 1]")
    mixup: float = option(0.0, "Mixup's alpha", within="[0, inf)")
    cutmix: float = option(0.0, "CutMix's alpha; with Mixup, each batch gets one of the two", within="[0, inf)")
    label_smoothing: float = option(0.0, "share of a label that is spread over all classes", within="[0, 1)")


@dataclass
class DataOptions:
    """The data. A store is a directory of packed frames as `extract_logmel` and `extract_teacher` write them.

    For data.kind=waves speech and held-out speech are data directories in place of stores; the noise is either.
    """

    kind: str = option("audio", "kind of data: a module of m2d.training.data_modules by its name")
    speech: str | None = option(None, "store of the training log-mels (or of any audio, for plain M2D)")
    teacher: str | None = option(None, "store of their teacher frames, for model.lambda_off > 0; of data.kind=m2dx an "
                                       "M2D model (default: run.init_from), of data.kind=waves any model")
    teacher_layer: int | None = option(None, "of data.kind=waves: the model's layer, from 1 (default: 9, Whisper and "
                                             "M2D: the last)")
    more: list[str] = option(factory=list, help="stores of further training log-mels, mixed with data.speech")
    more_teachers: list[str] = option(factory=list, help="stores of their teacher frames, for model.lambda_off > 0")
    weights: list[float] = option(factory=list, help="shares of an epoch: of data.speech, then of each of data.more "
                                                     "(default: as many samples as it has utterances)",
                                  within="(0, inf)")
    by_hours: bool = option(False, "shares of an epoch by hours of audio, in place of data.weights")
    epoch_samples: int = option(0, "samples of an epoch, at least: shorter lists are repeated", within="[0, inf)")
    noise: str | None = option(None, "store of background-noise log-mels, for data.noise_ratio > 0")
    noise_ratio: float = option(0.0, "share of noise in the mixture, alpha of M2D-S (0 speech alone, 1 noise alone)",
                                within="[0, 1]")
    valid: str | None = option(None, "store of held-out log-mels for the validation loss")
    valid_teacher: str | None = option(None, "store of their teacher frames, for model.lambda_off > 0")
    mean: float | None = option(None, "mean of the log-mels (default: stats.json of data.speech, and of data.more)")
    std: float | None = option(None, "standard deviation of the log-mels (default: as data.mean)", within="(0, inf)")
    noise_mean: float | None = option(None, "mean of the noise log-mels (default: stats.json of data.noise)")
    image: ImageOptions = option(factory=ImageOptions)
    workers: int | None = option(None, "loader processes per rank, each 4 batches ahead in /dev/shm (default: by the "
                                       "CPUs per rank, 1 to 4); 0: the training process reads", within="[0, inf)")


@dataclass
class OptimOptions:
    """AdamW and its schedules (M2D section 4.1; betas, decay and the schedule's form are MAE's)."""

    batch_size: int = option(2048, "effective batch: samples per optimiser step over all ranks and accumulation",
                             within="[1, inf)")
    micro_batch: int = option(0, "samples per forward pass on one device, at most; 0: what fits its memory",
                              within="[0, inf)")
    base_lr: float = option(3e-4, "learning rate per 256 samples: lr = base_lr * batch_size / 256", within="[0, inf)")
    epochs: int = option(300, "epochs; one consumes every training utterance once", within="[1, inf)")
    warmup_epochs: float = option(20, "epochs of linear warm-up, before the half-cosine to 0", within="[0, inf)")
    frozen_epochs: float = option(0, "first epochs in which the encoder stays as it is, while what starts from scratch "
                                     "beside it (predictor, layer on the teacher) learns", within="[0, inf)")
    betas: list[float] = option(factory=lambda: [0.9, 0.95], help="AdamW's betas", within="[0, 1)", items=(2, 2))
    eps: float = option(1e-8, "AdamW's epsilon", within="(0, inf)")
    weight_decay: float = option(0.05, "weight decay, except on biases and other 1-d parameters", within="[0, inf)")
    layer_decay: float = option(1.0, "learning rate of each encoder block over the next one's, for fine-tuning",
                                within="(0, 1]")
    clip_norm: float = option(3.0, "the gradient's norm is clipped to this", within="(0, inf)")
    ema_start: float = option(0.99995, "EMA rate of the target at the first step", within="[0, 1]")
    ema_end: float = option(0.99999, "EMA rate of the target at the last step; linear between", within="[0, 1]")


@dataclass
class RunOptions:
    """Execution and monitoring of a run."""

    exp: str = option(MISSING, "experiment directory; holding checkpoints of this run, it is resumed")
    seed: int = option(0, "seed of weights, order, crops, noise and masks")
    device: str = option("auto", "auto (CUDA where there is one), cuda, cpu", choices=("auto", "cuda", "cpu"))
    dtype: str = option("auto", "fp32, bf16 (autocast; weights and optimiser stay fp32); auto: as the run began, "
                                "a new one bf16 on a GPU that has it, else fp32", choices=("auto", "fp32", "bf16"))
    compile: bool = option(False, "torch.compile the objective")
    log_steps: int = option(20, "steps between progress lines and reading of the losses", within="[1, inf)")
    valid_epochs: int = option(1, "epochs between validation losses, for data.valid", within="[1, inf)")
    probe_task: str | None = option(None, "folder of a small prepared task (or list of labelled images) on whose "
                                          "validation clips kNN and a linear layer measure the encoder")
    probe_epochs: int = option(10, "epochs between these measurements; one more after the last", within="[1, inf)")
    checkpoint_minutes: float = option(10.0, "minutes between checkpoints", within="[0, inf)")
    keep_last: int = option(2, "newest checkpoints that are kept", within="[1, inf)")
    keep_epochs: int = option(100, "a checkpoint at every so many epochs is kept for good; 0: none", within="[0, inf)")
    max_skipped: int = option(20, "stop after so many non-finite steps in a row", within="[1, inf)")
    init_from: str | None = option(None, "weights for a new run: checkpoint, published .pth file, or model directory")
    allow_config_change: bool = option(False, "resume although options (not data) that shape the result have changed")


@dataclass
class Settings:
    """All options of `python -m m2d.bin.pretrain`, without cross-checks: a YAML file may leave the data open."""

    data: DataOptions = option(factory=DataOptions)
    model: ModelConfig = option(factory=ModelConfig)
    optim: OptimOptions = option(factory=OptimOptions)
    run: RunOptions = option(factory=RunOptions)


@dataclass
class PretrainConfig(Settings):
    """The options of a run. Raises `UserError` for values that do not fit together."""

    def __post_init__(self) -> None:
        with errors_at(f"data.kind={self.data.kind}"):
            DATA_MODULES.get(self.data.kind).check(self)
        optim = self.optim
        if optim.warmup_epochs >= optim.epochs:
            shorter = optim.epochs * SHORT_WARMUP
            LOG.warning("optim.warmup_epochs=%g would take all of optim.epochs=%d: %g of them are the warm-up now",
                        optim.warmup_epochs, optim.epochs, shorter)
            optim.warmup_epochs = shorter


# Options that do not shape the result (beyond rounding): they may differ between the runs of one experiment.
FREE = frozenset({
    "data.workers", "optim.micro_batch", "run.exp", "run.device", "run.log_steps", "run.checkpoint_minutes",
    "run.keep_last", "run.keep_epochs", "run.max_skipped", "run.valid_epochs", "run.probe_task",
    "run.probe_epochs", "run.allow_config_change",
    "model.activation_checkpointing", "model.teacher_width",  # the store's
})


def plain(config: Any) -> dict[str, Any]:
    """The resolved options as nested plain dictionaries, fit for a checkpoint."""
    return dataclasses.asdict(config)


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """`key: old -> new` for every option that shapes the result and differs between two `plain` dictionaries.

    An option missing in `before`, written by an older version, had its default. `run.dtype=auto` is never a change.
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
