"""Inputs and cost of a setting before anything is read or trained: parameters, FLOPs, memory, disk, hours."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from m2d.audio.logmel import LogMelConfig
from m2d.common.config import load_config, option
from m2d.common.progress import duration
from m2d.data.format import is_store, read_meta
from m2d.nn.summary import Summary, activation_bytes, summarise
from m2d.training.config import FREE, PretrainConfig, Settings, plain
from m2d.training.data_modules import DATA_MODULES
from m2d.training.memory import USABLE, micro_batch
from m2d.training.rates import machine_rates, stage_hours

FRAMES_PER_HOUR = 360_000  # log-mel, 10 ms
TEACHER_WIDTH, TEACHER_FRAMES_PER_HOUR = 768, 180_000  # of HuBERT Base: 20 ms
GPUS_GIB = (16, 24, 40, 80)
STORES = frozenset(f"data.{name}" for name in ("speech", "teacher", "noise", "valid", "valid_teacher"))
TEACHER_BYTES = {"float16": 2, "int8": 1}  # what the store can hold


@dataclass
class PlanOptions:
    """Options of `python -m m2d.bin.plan`. The corpus sizes are those of LS-960 and AudioSet (M2D-S, section 4.1)."""

    config: str = option(help="YAML file of pre-training settings")
    set: list[str] = option(factory=list, help="changes to the settings, [key=value,...]")
    show: str = option("cost", "cost: the table; settings: KEY=VALUE lines of what shapes the result and is not at its "
                               "default, data apart; inputs: before these, which of 'speech noise teacher' are read",
                       choices=("cost", "inputs", "settings"))
    gpus: int = option(1, "GPUs that share the batch, all nodes together", within="[1, inf)")
    samples: int = option(281_241, "training samples, all of which an epoch consumes")
    hours: float = option(960.0, "hours of the training audio")
    noise_hours: float = option(5_569.0, "hours of the noise corpus")
    jobs: int = option(2, "jobs of data preparation and features", within="[1, inf)")
    probe: str | None = option(None, "show hours at the rates of this machine, kept in this file; empty: they are "
                                     "measured and not kept")
    tflops: float = option(490.0, "TFLOP/s that one GPU sustains; 490 is half of an H100's bf16 peak",
                           within="(0, inf)")


def show_plan(options: PlanOptions) -> None:
    """Print what `show` selects. Raises `UserError` for settings that do not load."""
    config = load_settings(options.config, options.set)
    if options.show != "cost":
        print("\n".join([*[" ".join(inputs(config))] * (options.show == "inputs"), *setting_lines(config)]))
    else:
        print("\n".join(f"{name:<34} {value}" for name, value in [*cost(config, options), *hours(config, options)]))


def load_settings(path: str, changes: list[str]) -> PretrainConfig:
    """Settings of a YAML file without data, which are replaced by placeholders."""
    settings = load_config(Settings, path, ["data.speech=any", "data.image.train=any", "run.exp=any", *changes])
    data, needs = settings.data, inputs(settings)
    if "noise" in needs:
        data.noise = data.noise or "any"
    if "teacher" in needs:
        data.valid_teacher = data.valid_teacher or ("any" if data.valid else None)
        data.more_teachers = data.more_teachers or ["any"] * len(data.more)
    if settings.model.lambda_off > 0:
        data.teacher = data.teacher or "any"
        settings.model.teacher_width = settings.model.teacher_width or TEACHER_WIDTH
    return PretrainConfig(data, settings.model, settings.optim, settings.run)


def setting_lines(config: PretrainConfig) -> list[str]:
    """`KEY=VALUE` of the options that shape the result and differ from their default, except paths of stores.

    Defaults are left out, so that new options of later versions do not make earlier runs look different.
    """
    def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
        for name, value in values.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{name}.")
            elif prefix + name not in FREE | STORES:
                yield prefix + name, json.dumps(value)

    defaults = dict(flat(plain(Settings())))
    further = [*config.data.more, *config.data.more_teachers]
    return [*(f"{key}={value}" for key, value in flat(plain(config)) if defaults[key] != value),
            *(f"content of further store {number}={_content(store)}" for number, store in enumerate(further, 1))]


def _content(store: str) -> str:
    return read_meta(store)["content"] if is_store(store) else "absent"


def inputs(config: Settings) -> list[str]:
    """The kinds of stores that a run with these settings reads."""
    return DATA_MODULES.get(config.data.kind).stores(config)


def cost(config: PretrainConfig, options: PlanOptions) -> list[tuple[str, str]]:
    """Rows of name and value."""
    model, optim = config.model, config.optim
    summary, encoder = summarise(model), model.encoder
    steps = optim.epochs * (options.samples // optim.batch_size)
    rows = [
        ("objective", f"{model.objective}, lambda_m2d {model.lambda_m2d}, lambda_off {model.lambda_off}"),
        ("parameters, trainable / all", f"{summary.trainable / 1e6:.1f} M / {summary.parameters / 1e6:.1f} M"),
        ("parameters of the encoder", f"{summary.encoder_parameters / 1e6:.1f} M"),
        ("input, patches", f"{_by(encoder.input_size)}, {_by(encoder.patch_size)}"),
        ("tokens, visible / all", f"{summary.visible} / {summary.patches}"),
        ("work per sample, forward / step",
         f"{summary.forward_flops / 1e9:.1f} / {summary.step_flops / 1e9:.1f} GFLOP"),
        ("work per optimiser step", f"{summary.step_flops * optim.batch_size / 1e12:.1f} TFLOP"),
        ("batch, learning rate", f"{optim.batch_size}, {optim.base_lr * optim.batch_size / 256:g}"),
        ("epochs, optimiser steps", f"{optim.epochs}, {steps}"),
        *[(f"on {options.gpus} x GPU of {gib} GiB", _fitted(config, summary, options.gpus, gib)) for gib in GPUS_GIB],
    ]
    if "speech" in inputs(config):
        log_mel = 2 * LogMelConfig().n_mels * FRAMES_PER_HOUR
        noise = f", {_gb(options.noise_hours * log_mel)} noise" if "noise" in inputs(config) else ""
        rows.append(("disk: log-mel", f"{_gb(options.hours * log_mel)} speech{noise}"))
    if "teacher" in inputs(config):
        values = options.hours * TEACHER_FRAMES_PER_HOUR * model.teacher_width
        sizes = [f"{_gb(size * values)} {name}" for name, size in TEACHER_BYTES.items()]
        rows.append(("disk: teacher", ", ".join(sizes)))
    rate = options.gpus * options.tflops * 1e12 / summary.step_flops
    return [*rows, ("disk: checkpoints", _checkpoints(config, summary)),
            (f"time at {options.gpus} x {options.tflops:g} TFLOP/s",
             f"{duration(optim.epochs * options.samples / rate)}, {rate:.0f} samples/s")]


def hours(config: PretrainConfig, options: PlanOptions) -> list[tuple[str, str]]:
    """Rows of the time of each stage at this machine's rates; none without `probe`, or for images."""
    if options.probe is None or "speech" not in inputs(config):
        return []
    found = machine_rates(options.probe, config.model)
    teacher = "" if found.teacher is None else f", teacher {found.teacher:.1f} x"
    return [("this machine", f"{found.device}, load {found.load:.1f}"),
            ("its rates", f"disk {found.disk:.0f} MB/s, headers {found.headers:.0f}/s; a core: FLAC {found.decode:.0f} "
                          f"x real time, log-mel {found.logmel:.0f} x; the device: {found.tflops:.3g} TFLOP/s"
                          f"{teacher}"),
            *stage_hours(config.model, summarise(config.model), found, epochs=config.optim.epochs,
                         samples=options.samples, hours=options.hours, jobs=options.jobs, gpus=options.gpus,
                         noise_hours=options.noise_hours if "noise" in inputs(config) else 0.0)]


def _checkpoints(config: PretrainConfig, summary: Summary) -> str:
    """Number and size of the kept checkpoints: the newest, and one every `run.keep_epochs`."""
    size = 4 * summary.parameters + 8 * summary.trainable  # weights, AdamW's two moments; float32
    run, epochs = config.run, config.optim.epochs
    count = run.keep_last + (max(0, epochs // run.keep_epochs - 1) if run.keep_epochs else 0)
    return f"{count} of {size / 1e9:.2g} GB"


def _fitted(config: PretrainConfig, summary: Summary, gpus: int, gib: int) -> str:
    """The micro-batch that `optim.micro_batch=0` is expected to choose there, and its memory."""
    optim, dtype = config.optim, "fp32" if config.run.dtype == "fp32" else "bf16"
    per_sample, share = activation_bytes(config.model, dtype == "bf16"), optim.batch_size // gpus

    def need(samples: int) -> int:
        return summary.weight_bytes() + samples * per_sample

    size = micro_batch(share, need, USABLE * gib * 2**30)
    if optim.micro_batch:
        size = min(optim.micro_batch, share)
    if need(size) > gib * 2**30:
        return f"too small: {dtype}, {size} at a time take about {need(size) / 2**30:.1f} GiB"
    return f"{dtype}, {-(-share // size)} x {size} samples a step, about {need(size) / 2**30:.1f} GiB"


def _by(size: tuple[int, int] | list[int]) -> str:
    return "x".join(str(number) for number in size)


def _gb(size: float) -> str:
    return f"{size / 1e9:.0f} GB"
