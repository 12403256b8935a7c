"""Models that leave the machine: a directory of `model.safetensors` and `config.json`, also on the Hugging Face hub."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_type_hints

import safetensors.torch
import torch

from m2d.audio.logmel import LogMelConfig
from m2d.common.errors import UserError, errors_at
from m2d.common.files import atomic_open, read_json, sha256, write_json
from m2d.nn.config import ModelConfig
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.pretrained.architecture import Undrawn, check_state
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.heads import clap_like, classifier_like
from m2d.pretrained.images import ImageFeatures
from m2d.pretrained.published import Published, read_published
from m2d.pretrained.storage import read_safetensors

MODEL_TYPE = "m2d"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
LARGEST = 10**6  # of a number in a configuration: more would take the memory before the weights show the mistake


def load_pretrained(path: str | Path, heads: int | None = None, sample_rate: int | None = None,
                    labels: list[str] | None = None) -> M2DFeatures | ImageFeatures:
    """A pre-trained model of audio or of images, on the CPU, in evaluation mode.

    `M2DFeatures` takes waves [B, N] and gives frames [B, T, N_F * D]; `ImageFeatures` takes images [B, 3, S, S] and
    gives patches [B, N_H, N_W, D].

    Args:
        path: a model directory (see `save_pretrained`), a published checkpoint file or its folder (see
            `m2d.pretrained.layouts`), or the OWNER/NAME of a model directory on the Hugging Face hub.
        heads: attention heads, for a published checkpoint that is no ViT of a known size.
        sample_rate: 16000 or 32000 Hz, for a published checkpoint; no tensor tells it.
        labels: class names of the classifier, in order (see `m2d.pretrained.tagging.read_labels`).

    Raises `UserError` naming the path and what is wrong with it. Nothing is unpickled.
    """
    path = find_file(path)
    if path.is_file():
        published = read_published(path, heads, sample_rate)
        with errors_at(path):
            return from_published(published, labels)
    if heads is not None or sample_rate is not None:
        raise UserError("heads and sample_rate apply to a published checkpoint only: a model directory says its own")
    return _load_directory(path, labels)


def load_audio(path: str | Path, heads: int | None = None, sample_rate: int | None = None,
               labels: list[str] | None = None) -> M2DFeatures:
    """As `load_pretrained`. Raises `UserError` for a model of images."""
    model = load_pretrained(path, heads, sample_rate, labels)
    if not isinstance(model, M2DFeatures):
        raise UserError(f"{path}: a model of images, not of audio")
    return model


def find_file(path: str | Path) -> Path:
    """The checkpoint file or model directory of a name, from the hub if not here. `UserError` if not to be had."""
    path = Path(path)
    if path.name in (CONFIG, WEIGHTS) and path.is_file():
        raise UserError(f"{path}: one file of a model directory: give {path.parent}")
    if not path.exists():
        return download(str(path))
    if path.is_dir() and not (path / CONFIG).is_file():
        checkpoints = sorted(path.glob("*.pth"))
        if len(checkpoints) > 1:
            raise UserError(f"{path}: holds {len(checkpoints)} checkpoints: give one, for example {checkpoints[-1]}")
        return checkpoints[0] if checkpoints else path
    return path


def save_pretrained(model: M2DFeatures | ImageFeatures, directory: str | Path,
                    origin: dict[str, Any] | None = None) -> None:
    """Write a model directory: weights and their checksum, architecture, front end, statistics, heads.

    `origin` is a note for readers, for example the checkpoint and its epoch. The configuration is written last: a
    directory without one is no model.
    """
    directory = Path(directory)
    (directory / CONFIG).unlink(missing_ok=True)
    is_audio = isinstance(model, M2DFeatures)
    parts = {"": model.encoder, **({"classifier.": model.classifier, "clap.": model.clap} if is_audio else {})}
    tensors = {prefix + name: value.detach().float().cpu().contiguous()
               for prefix, part in parts.items() if part is not None for name, value in part.state_dict().items()}
    with atomic_open(directory / WEIGHTS, "wb") as stream:
        stream.write(safetensors.torch.save(tensors, metadata={"format": "pt"}))
    write_json(directory / CONFIG, {
        "model_type": MODEL_TYPE,
        "encoder": asdict(model.encoder.config),
        **({"front_end": asdict(model.logmel.config)} if is_audio else {}),
        "statistics": {"mean": model.mean, "std": model.std},
        **({"classes": model.classifier.names, "classifier": {
            "exclusive": model.classifier.exclusive, "seconds": model.classifier.seconds,
        }} if is_audio and model.classifier is not None else {}),
        "weights_sha256": sha256(directory / WEIGHTS),
        "origin": origin or {},
    })


def from_published(published: Published, labels: list[str] | None = None) -> M2DFeatures | ImageFeatures:
    """Features, and heads where there are any. Raises ValueError for heads that do not fit the encoder."""
    return _assemble(published.encoder, published.front_end, published.statistics, {
        **published.encoder_state(),
        **{f"classifier.{name}": value for name, value in published.classifier.items()},
        **{f"clap.{name}": value for name, value in published.clap.items()}}, labels)


def from_checkpoint(state: dict[str, Any]) -> M2DFeatures | ImageFeatures:
    """Features from the online encoder of a pre-training checkpoint (`m2d.training.checkpoint.read_checkpoint`)."""
    encoder = {name.removeprefix("encoder."): value for name, value in state["model"].items()
               if name.startswith("encoder.")}
    config = ModelConfig(**state["config"]["model"]).encoder
    statistics = state["statistics"]["mean"], state["statistics"]["std"]
    return _assemble(config, LogMelConfig(n_mels=config.input_size[0]), statistics, encoder)


def _assemble(config: EncoderConfig, front_end: LogMelConfig | None, statistics: tuple, state: dict[str, torch.Tensor],
              labels: list[str] | None = None) -> M2DFeatures | ImageFeatures:
    """The model of `state`: the encoder's names, the heads' behind prefixes; of images if it has several channels."""
    heads: dict[str, dict[str, torch.Tensor]] = {
        prefix: {name[len(prefix):]: value for name, value in state.items() if name.startswith(prefix)}
        for prefix in ("classifier.", "clap.")}
    classifier = clap = None
    if heads["classifier."]:
        classifier = classifier_like(heads["classifier."], labels, (config.width, config.grid.n_freq * config.width))
    elif labels is not None:
        raise ValueError("labels apply to a model with a classifier: these weights have none")
    if heads["clap."]:
        clap = clap_like(heads["clap."], config.width)
    weights = {name: value for name, value in state.items() if not name.startswith(tuple(heads))}
    with torch.device("meta"), Undrawn():
        encoder = Encoder(config)
    check_state(weights, encoder.state_dict(), "encoder")
    encoder.load_state_dict({name: value.to(torch.float32, copy=True) for name, value in weights.items()}, assign=True)
    if config.in_channels > 1:
        return ImageFeatures(encoder, *statistics).eval()
    model = M2DFeatures(encoder, front_end, *statistics, classifier, clap)
    for head, prefix in ((classifier, "classifier."), (clap, "clap.")):
        if head is not None:
            check_state(heads[prefix], head.state_dict(), prefix[:-1])
            head.load_state_dict(heads[prefix])
    return model.eval()


def _load_directory(directory: Path, labels: list[str] | None) -> M2DFeatures | ImageFeatures:
    path = directory / CONFIG
    if not path.is_file():
        inside = directory / "model"
        raise UserError(f"{path}: no such file: {directory} is no model directory, or an unfinished one" +
                        (f"; {inside} is one" if (inside / CONFIG).is_file() else ""))
    try:
        config = read_json(path)
        if config.get("model_type") != MODEL_TYPE:
            raise UserError(f"model_type is {config.get('model_type')!r}, expected '{MODEL_TYPE}'")
        encoder = _build(EncoderConfig, config["encoder"])
        is_audio = encoder.in_channels == 1
        front_end = _build(LogMelConfig, config["front_end"]) if is_audio else None
        statistics = tuple(_checked(name, float if is_audio else list[float], config["statistics"][name])
                           for name in ("mean", "std"))
        names, checksum = config.get("classes", _class_names(config)), config.get("weights_sha256")
        if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise UserError("classes must be a list of names")
        head = config.get("classifier") or {"exclusive": False, "seconds": 0.0}
        exclusive, seconds = head["exclusive"] is True, _checked("seconds", float, head["seconds"])
        largest = max(encoder.grid.n_patches * encoder.width, encoder.depth**3,
                      front_end.n_fft * front_end.n_mels if is_audio else 0)
        if largest > 100 * LARGEST:
            raise UserError("sizes that no model has")
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: not a model's configuration ({reason})") from None
    state = read_safetensors(directory / WEIGHTS, checksum)
    if "auto_map" in config:  # a folder for transformers
        state = {name.removeprefix("features.").removeprefix("encoder."): value for name, value in state.items()}
    with errors_at(directory / WEIGHTS):
        model = _assemble(encoder, front_end, statistics, state, labels or names)
    if is_audio and model.classifier is not None:
        model.classifier.exclusive, model.classifier.seconds = exclusive, seconds
    return model


def _class_names(config: dict[str, Any]) -> list[str] | None:
    """The classes as transformers has them, in order."""
    names = config.get("id2label")
    return names and [names[str(index)] for index in range(len(names))]


def _build(table: type, values: dict[str, Any]) -> Any:
    """A dataclass from JSON values that must name each of its fields, and no others."""
    kinds = get_type_hints(table)
    if kinds.keys() != values.keys():
        wrong = ", ".join(sorted(kinds.keys() ^ values.keys()))
        raise KeyError(f"keys of {table.__name__} missing or unknown: {wrong}")
    return table(**{name: _checked(name, kind, values[name]) for name, kind in kinds.items()})


def _checked(name: str, kind: Any, value: Any) -> Any:
    """A JSON value as an int, a finite float or a pair of ints; UserError for one of another kind or far too large."""
    numbers = value if isinstance(value, list) else [value]
    if any(type(number) is int and abs(number) > LARGEST for number in numbers):
        raise UserError(f"{name} is larger than any model's")
    if kind is int and type(value) is int:  # not a bool
        return value
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if kind == list[float] and all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
        return [float(number) for number in numbers]
    if kind == tuple[int, int] and isinstance(value, list) and [type(number) for number in value] == [int, int]:
        return tuple(value)
    wanted = {int: "a whole number", float: "a finite number", list[float]: "a list of finite numbers"}
    raise UserError(f"{name} is {value!r}, expected {wanted.get(kind, 'two whole numbers')}")


def download(name: str) -> Path:
    """The local copy of the model directory OWNER/NAME on the Hugging Face hub. `UserError` if it can't be had."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[CONFIG, WEIGHTS]))
    except Exception as error:  # the hub's client raises its own, requests' and validation errors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{name}: neither a model directory nor a checkpoint file here, and not to be had from the "
                        f"Hugging Face hub ({reason})") from error
