"""Checkpoints of the public M2D family: read, checked, renamed, written.

A published file is `{"model": state dict}` or the state dict itself. The tensors tell its layout
(`m2d.pretrained.layouts`) and its architecture, but for attention heads and audio rate. What is written here has those
two beside the weights, under "m2d".
"""

import logging
import math
import pathlib
from dataclasses import dataclass, field
from typing import Any

import torch

from m2d.audio.logmel import LogMelConfig
from m2d.common.errors import UserError, errors_at
from m2d.nn.encoder_config import ENCODERS, EncoderConfig
from m2d.nn.patches import sincos_positions
from m2d.pretrained import architecture
from m2d.pretrained.architecture import check_state, is_encoder_only, with_class_row
from m2d.pretrained.images import IMAGENET
from m2d.pretrained.layouts import from_published, front_end_for, separate, to_published
from m2d.pretrained.storage import read_pth, write_pth

LOG = logging.getLogger(__name__)

# The (mean, std) that the public code assumes where a checkpoint has no norm_stats.
DEFAULT_STATISTICS = (-7.1, 4.2)
NOTE = "m2d"  # beside "model": what no tensor tells


@dataclass(frozen=True)
class Published:
    """What a published file holds, under our names."""

    state: dict[str, torch.Tensor]  # `encoder.*`, and `target.*`, `predictor.*`, `offline.*` where present
    encoder: EncoderConfig
    statistics: tuple  # mean, std of the log-mel it was trained on; of images lists, a number for each channel
    front_end: LogMelConfig = field(default_factory=LogMelConfig)
    layout: str = "B"  # A to D of `m2d.pretrained.layouts`
    classifier: dict[str, torch.Tensor] = field(default_factory=dict)
    clap: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def encoder_only(self) -> bool:
        return is_encoder_only(self.state)

    def encoder_state(self) -> dict[str, torch.Tensor]:
        return {name.removeprefix("encoder."): value for name, value in self.state.items()
                if name.startswith("encoder.")}


def read_published(path: str | pathlib.Path, heads: int | None = None, sample_rate: int | None = None) -> Published:
    """Read a published checkpoint.

    Args:
        path: the `.pth` file.
        heads: the encoder's attention heads, where neither the file nor its size (ViT small, base, large) tells them.
        sample_rate: of the audio it was trained on, 16000 or 32000 Hz.

    Raises `UserError` naming the file and the first thing that does not fit: not a checkpoint, damaged, a missing,
    unknown or misshapen parameter, positions other than the fixed sin-cos table, heads or rate that can't be known.
    """
    content = read_pth(path)
    if isinstance(content, dict) and {"model", "config", "statistics"} <= content.keys():
        raise UserError(f"{path}: a checkpoint of pre-training here, not a published one: run m2d.bin.export on it")
    tensors = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(tensors, dict) or not tensors or not all(
            isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in tensors.items()):
        raise UserError(f"{path}: holds no state dict, neither at the top nor under 'model'")
    note = content.get(NOTE) if tensors is not content else None
    with errors_at(path):
        heads = _agreed("heads", heads, note)
        front_end = front_end_for(path, _agreed("sample_rate", sample_rate, note))
        return _interpret(tensors, heads, front_end)


def load_objective(objective: torch.nn.Module, published: Published, origin: str) -> None:
    """Put a published checkpoint into an objective, to continue pre-training from it.

    From an encoder-only file the encoder is taken, the target starts as its copy and the predictor is left as it is. So
    is the layer that answers the offline teacher where the file has none, or one of another teacher's width.
    Raises `UserError` for the first parameter that is missing or of another shape.
    """
    state = dict(published.state)
    if published.encoder_only:
        if getattr(objective, "target", None) is not None:
            state |= {name.replace("encoder.transformer.", "target.", 1): value for name, value in state.items()
                      if name.startswith("encoder.transformer.")}
        LOG.warning("%s holds the encoder alone: the predictor starts from scratch", origin)
    own = objective.state_dict()
    if "offline.weight" in own and getattr(state.get("offline.weight"), "shape", None) != own["offline.weight"].shape:
        LOG.info("%s: the layer that answers the offline teacher starts from scratch", origin)
        state |= {name: value for name, value in own.items() if name.startswith("offline.")}
    parts = {name.split(".")[0] for name in own}
    unused = {name.split(".")[0] for name in state} - parts
    if unused:
        LOG.warning("%s: the %s has no place in this configuration and is left out", origin, ", ".join(sorted(unused)))
    state = {name: value for name, value in state.items() if name.split(".")[0] in parts}
    taken = own if not published.encoder_only else {name: own[name] for name in own if name in state}
    with errors_at(origin):
        check_state(state, taken, origin, published_name)
    objective.load_state_dict(state, strict=False)


def write_published(path: str | pathlib.Path, state: dict[str, torch.Tensor], config: EncoderConfig,
                    statistics: tuple[float, float], sample_rate: int = 16000) -> None:
    """Write a state dict of ours as a published checkpoint, without what no published model has (logged)."""
    names = {name: to_published(name) for name in state}
    if unknown := sorted({name.split(".")[0] for name, theirs in names.items() if theirs is None}):
        LOG.warning("%s: the public format has no place for %s: left out", path, ", ".join(unknown))
    model = {theirs: state[name].detach().cpu() for name, theirs in names.items() if theirs is not None}
    model["pos_embed"] = with_class_row(sincos_positions(config.grid, config.width))
    if "mask_token" in model:
        model["decoder_pos_embed"] = with_class_row(sincos_positions(config.grid, model["mask_token"].shape[-1]))
    model["norm_stats"] = torch.tensor(statistics)
    write_pth(path, {"model": model, NOTE: {"heads": config.heads, "sample_rate": sample_rate}})


def published_folder(config: EncoderConfig, sample_rate: int, tag: str) -> str:
    """The folder's name that the public loader (of ViT-Base) takes settings from: `m2d_vit_base-80x608p16x16-TAG`."""
    size = next((name for name, size in ENCODERS.items() if size == config.size), "custom")
    (bins, frames), (f, t) = config.input_size, config.patch_size
    rate = "" if sample_rate == 16000 else f"p{sample_rate // 1000}k"
    return f"m2d_vit_{size}-{bins}x{frames}p{f}x{t}{rate}-{''.join(c if c.isalnum() else '_' for c in tag)}"


def published_name(name: str) -> str:
    """What the reader of a message about a published file knows a parameter by."""
    return to_published(name) or name


def _agreed(name: str, given: int | None, note: Any) -> int | None:
    """A setting as given, or else as noted in the file. Raises ValueError where the two differ."""
    noted = note.get(name) if isinstance(note, dict) else None
    if noted is not None and type(noted) is not int:
        raise ValueError(f"{name} in the file is {noted!r}, expected a whole number")
    if given is not None and noted is not None and given != noted:
        raise ValueError(f"{name}={given}: the file says {noted}")
    return noted if given is None else given


def _interpret(tensors: dict[str, torch.Tensor], heads: int | None, front_end: LogMelConfig) -> Published:
    parts = separate(tensors)
    for name, value in [*parts.model.items(), *parts.classifier.items(), *parts.clap.items()]:
        if not value.is_floating_point() or value.layout != torch.strided or value.is_meta:
            raise ValueError(f"'{name}' is a {value.layout} tensor of {value.dtype} on {value.device}, expected plain "
                            "floating-point values")
    model = dict(parts.model)
    positions = {name: model.pop(name) for name in ("pos_embed", "decoder_pos_embed") if name in model}
    norm_stats = model.pop("norm_stats", None)
    state = {}
    for name, value in model.items():
        ours = from_published(name)
        if ours is None:
            raise ValueError(f"parameter '{name}' belongs to no published M2D, M2D-S, MSM-MAE or MAE model")
        state[ours] = value.float()
    encoder = architecture.encoder_config(state, positions, heads)
    statistics = _statistics(norm_stats) if encoder.in_channels == 1 else IMAGENET
    _leave_out_label_predictor(state, encoder)
    check_state(state, architecture.expected_parameters(state, encoder), "not a whole model", published_name)
    classifier, clap = ({name: value.float() for name, value in part.items()}
                        for part in (parts.classifier, parts.clap))
    return Published(state, encoder, statistics, front_end, parts.layout, classifier, clap)


def _leave_out_label_predictor(state: dict[str, torch.Tensor], encoder: EncoderConfig) -> None:
    """Drop an `offline_predictor` that is not M2D-S's Linear from N_F * D: M2D-AS predicts labels with another."""
    offline = {name: value for name, value in state.items() if name.startswith("offline.")}
    weight, bias = offline.get("offline.weight"), offline.get("offline.bias")
    width = encoder.grid.n_freq * encoder.width
    fits = (len(offline) == 2 and weight is not None and bias is not None and weight.ndim == 2
            and weight.shape == (len(bias), width))
    if offline and not fits:
        LOG.info("the file's offline_predictor is not M2D-S's: left out")
        for name in offline:
            del state[name]


def _statistics(norm_stats: torch.Tensor | None) -> tuple[float, float]:
    if norm_stats is None:
        LOG.info("no norm_stats in the checkpoint: the public default %s is taken", DEFAULT_STATISTICS)
        return DEFAULT_STATISTICS
    if norm_stats.shape != (2,):
        raise ValueError(f"norm_stats is {list(norm_stats.shape)}, expected [2], mean and deviation")
    mean, std = norm_stats.tolist()
    if not math.isfinite(mean) or not 0 < std < math.inf:
        raise ValueError(f"norm_stats is {mean:g} and {std:g}, expected a mean and a positive deviation")
    return mean, std
