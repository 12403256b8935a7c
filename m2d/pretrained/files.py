"""Models that leave the machine: a directory of `model.safetensors` and `config.json`, also on the Hugging Face hub."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_type_hints

import safetensors.torch
import torch
from safetensors import SafetensorError

from m2d.audio.logmel import LogMelConfig
from m2d.common.errors import UserError
from m2d.common.files import atomic_open, write_json
from m2d.nn.config import EncoderConfig, ModelConfig
from m2d.nn.encoder import Encoder
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.published import Published, check_state, read_published

MODEL_TYPE = "m2d"
CONFIG, WEIGHTS = "config.json", "model.safetensors"


def load_pretrained(path: str | Path, heads: int | None = None) -> M2DFeatures:
    """A pre-trained model, on the CPU, in evaluation mode.

    Args:
        path: a model directory (see `save_pretrained`), a published checkpoint file (see `m2d.pretrained.published`),
            or the OWNER/NAME of a model directory on the Hugging Face hub.
        heads: attention heads, for a published checkpoint that has not one per 64 channels.

    Raises `UserError` naming the path and what is wrong with it. Nothing is unpickled, and nothing is told from names.
    """
    path = Path(path)
    if path.name in (CONFIG, WEIGHTS) and path.is_file():
        raise UserError(f"{path}: one file of a model directory: give {path.parent}")
    if path.is_file():
        published = read_published(path, heads)
        try:
            return from_published(published)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
    if heads is not None:
        raise UserError("heads apply to a published checkpoint file only: a model directory says its own")
    return _load_directory(path if path.is_dir() else download(str(path)))


def save_pretrained(model: M2DFeatures, directory: str | Path, origin: dict[str, Any] | None = None) -> None:
    """Write a model directory: weights, architecture, front end, statistics.

    `origin` is a note for readers, for example the checkpoint and its epoch. The configuration is written last: a
    directory without one is no model.
    """
    directory = Path(directory)
    (directory / CONFIG).unlink(missing_ok=True)
    tensors = {name: value.detach().float().cpu().contiguous() for name, value in model.encoder.state_dict().items()}
    with atomic_open(directory / WEIGHTS, "wb") as stream:
        stream.write(safetensors.torch.save(tensors, metadata={"format": "pt"}))
    write_json(directory / CONFIG, {
        "model_type": MODEL_TYPE,
        "encoder": asdict(model.encoder.config),
        "front_end": asdict(model.logmel.config),
        "statistics": {"mean": model.mean, "std": model.std},
        "origin": origin or {},
    })


def from_published(published: Published) -> M2DFeatures:
    """Features from the encoder of a published checkpoint, with the published front end."""
    return _features(published.encoder, published.encoder_state(), *published.statistics)


def from_checkpoint(state: dict[str, Any]) -> M2DFeatures:
    """Features from the online encoder of a pre-training checkpoint (`m2d.training.checkpoint.read_checkpoint`)."""
    encoder = {name.removeprefix("encoder."): value for name, value in state["model"].items()
               if name.startswith("encoder.")}
    config = ModelConfig(**state["config"]["model"]).encoder
    return _features(config, encoder, **state["statistics"])


def _features(config: EncoderConfig, state: dict[str, torch.Tensor], mean: float, std: float) -> M2DFeatures:
    encoder = Encoder(config)
    encoder.load_state_dict(state)
    return M2DFeatures(encoder, LogMelConfig(n_mels=config.input_size[0]), mean, std).eval()


def _load_directory(directory: Path) -> M2DFeatures:
    model = _described(directory / CONFIG)
    path = directory / WEIGHTS
    if not path.is_file():
        raise UserError(f"{path}: no such file: {directory} is no model directory, or an unfinished one")
    try:
        state = safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not readable as safetensors, or cut off ({error})") from error
    check_state(state, model.encoder.state_dict(), str(path))
    model.encoder.load_state_dict(state)
    return model.eval()


def _described(path: Path) -> M2DFeatures:
    """The model that a configuration file describes, with weights of chance."""
    if not path.is_file():
        inside = path.parent / "model"
        raise UserError(f"{path}: no such file: {path.parent} is no model directory, or an unfinished one" +
                        (f"; {inside} is one" if (inside / CONFIG).is_file() else ""))
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config.get("model_type") != MODEL_TYPE:
            raise UserError(f"model_type is {config.get('model_type')!r}, expected '{MODEL_TYPE}'")
        encoder = Encoder(_build(EncoderConfig, config["encoder"]))
        statistics = (_checked(name, float, config["statistics"][name]) for name in ("mean", "std"))
        return M2DFeatures(encoder, _build(LogMelConfig, config["front_end"]), *statistics)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: not a model's configuration ({type(error).__name__}: {error})") from error


def _build(table: type, values: dict[str, Any]) -> Any:
    """A dataclass from JSON values that must name each of its fields, and no others."""
    kinds = get_type_hints(table)
    if kinds.keys() != values.keys():
        wrong = ", ".join(sorted(kinds.keys() ^ values.keys()))
        raise KeyError(f"keys of {table.__name__} missing or unknown: {wrong}")
    return table(**{name: _checked(name, kind, values[name]) for name, kind in kinds.items()})


def _checked(name: str, kind: Any, value: Any) -> Any:
    """A JSON value as an int, a finite float or a pair of ints; UserError for one of another kind."""
    if kind is int and type(value) is int:  # not a bool
        return value
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if kind == tuple[int, int] and isinstance(value, list) and [type(number) for number in value] == [int, int]:
        return tuple(value)
    wanted = {int: "a whole number", float: "a finite number"}.get(kind, "two whole numbers")
    raise UserError(f"{name} is {value!r}, expected {wanted}")


def download(name: str) -> Path:
    """The local copy of a model directory on the Hugging Face hub; `name` is OWNER/NAME.

    Raises `UserError` if it can't be had.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[CONFIG, WEIGHTS]))
    except Exception as error:  # the hub's client raises its own, requests' and validation errors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{name}: neither a model directory nor a checkpoint file here, and not to be had from the "
                        f"Hugging Face hub ({reason})") from error
