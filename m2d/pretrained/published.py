"""Checkpoints in the format of the public M2D, M2D-S and MSM-MAE releases: read, checked, renamed, written.

A published file is `{"model": state dict}` or the state dict itself. Pre-training files hold encoder, target and
predictor; encoder-only files the encoder's part. What the networks look like is told by the tensors' shapes, never by a
file's name.
"""

from __future__ import annotations

import argparse
import logging
import math
import pathlib
from collections.abc import Callable
from dataclasses import dataclass

import torch

from m2d.common.errors import UserError
from m2d.common.files import atomic_open
from m2d.nn import ModelConfig, build_objective
from m2d.nn.config import EncoderConfig
from m2d.nn.encoder import Encoder
from m2d.nn.patches import Grid, sincos_positions

LOG = logging.getLogger(__name__)

# Our prefix of a parameter's name, and the published one.
RENAMES = (
    ("encoder.patch_embed.", "patch_embed."),
    ("encoder.cls_token", "cls_token"),
    ("encoder.transformer.blocks.", "blocks."),
    ("encoder.transformer.norm.", "norm."),
    ("target.blocks.", "target_blocks."),
    ("target.norm.", "target_norm."),
    ("predictor.mask_token", "mask_token"),
    ("predictor.embed.", "decoder_embed."),
    ("predictor.transformer.blocks.", "decoder_blocks."),
    ("predictor.transformer.norm.", "decoder_norm."),
    ("predictor.head.", "decoder_pred."),
    ("offline.", "offline_predictor."),
)
# The (mean, std) that the public code assumes where a checkpoint has no norm_stats.
DEFAULT_STATISTICS = (-7.1, 4.2)
POSITION_TOLERANCE = 1e-4
HEAD_WIDTH = 64  # of ViT small, base and large


@dataclass(frozen=True)
class Published:
    """What a published file holds, under our names."""

    state: dict[str, torch.Tensor]  # `encoder.*`, and `target.*`, `predictor.*`, `offline.*` where present
    encoder: EncoderConfig
    statistics: tuple[float, float]  # mean, std of the log-mel it was trained on

    @property
    def encoder_only(self) -> bool:
        """Whether nothing but the encoder is in the file."""
        return _is_encoder_only(self.state)

    def encoder_state(self) -> dict[str, torch.Tensor]:
        """State dict of the `Encoder`."""
        return {name.removeprefix("encoder."): value for name, value in self.state.items()
                if name.startswith("encoder.")}


def read_published(path: str | pathlib.Path, heads: int | None = None) -> Published:
    """Read a published checkpoint.

    Args:
        path: the `.pth` file.
        heads: the encoder's attention heads, which no shape tells; by default one per 64 channels, as in every ViT.

    Raises `UserError` naming the file and the first thing that does not fit: not a checkpoint, truncated, a missing,
    unknown or misshapen parameter, positions other than the fixed sin-cos table.
    """
    tensors = _load(pathlib.Path(path))
    try:
        return _interpret(tensors, heads)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def load_objective(objective: torch.nn.Module, published: Published, origin: str) -> None:
    """Put a published checkpoint into an objective, to continue pre-training from it.

    From an encoder-only file the encoder is taken, the target starts as its copy and the predictor is left as it is.
    Raises `UserError` for the first parameter that is missing or of another shape.
    """
    state = dict(published.state)
    if published.encoder_only:
        if getattr(objective, "target", None) is not None:
            state |= {name.replace("encoder.transformer.", "target.", 1): value for name, value in state.items()
                      if name.startswith("encoder.transformer.")}
        LOG.warning("%s holds the encoder alone: the predictor starts from scratch", origin)
    own = objective.state_dict()
    parts = {name.split(".")[0] for name in own}
    unused = {name.split(".")[0] for name in state} - parts
    if unused:
        LOG.warning("%s: the %s has no place in this configuration and is left out", origin, ", ".join(sorted(unused)))
    state = {name: value for name, value in state.items() if name.split(".")[0] in parts}
    taken = own if not published.encoder_only else {name: own[name] for name in own if name in state}
    check_state(state, taken, origin, to_published)
    objective.load_state_dict(state, strict=False)


def write_published(
    path: str | pathlib.Path, state: dict[str, torch.Tensor], config: EncoderConfig, statistics: tuple[float, float]
) -> None:
    """Write a state dict of ours (an objective's, or one with `encoder.*` alone) as a published checkpoint."""
    model = {to_published(name): value.detach().cpu() for name, value in state.items()}
    model["pos_embed"] = _with_class_row(sincos_positions(config.grid, config.width))
    if "mask_token" in model:
        model["decoder_pos_embed"] = _with_class_row(sincos_positions(config.grid, model["mask_token"].shape[-1]))
    model["norm_stats"] = torch.tensor(statistics)
    with atomic_open(path, "wb") as stream:
        torch.save({"model": model}, stream)


def to_published(name: str) -> str:
    """The published name of one of our parameters; KeyError for one that has none."""
    for ours, theirs in RENAMES:
        if name.startswith(ours):
            return theirs + name[len(ours):]
    raise KeyError(name)


def from_published(name: str) -> str | None:
    """Our name of a published parameter; None for one we do not know."""
    for ours, theirs in RENAMES:
        if name.startswith(theirs):
            return ours + name[len(theirs):]
    return None


def check_state(
    state: dict[str, torch.Tensor],
    expected: dict[str, torch.Tensor],
    origin: str,
    name_of: Callable[[str], str] = str,
) -> None:
    """Raise `UserError` for the first parameter that is missing, of another shape, not finite numbers, or one too many.

    `name_of` gives the name that the reader of the message knows a parameter by.
    """
    for name, value in expected.items():
        if name not in state:
            raise UserError(f"{origin}: parameter '{name_of(name)}' is missing")
        if state[name].shape != value.shape:
            raise UserError(f"{origin}: parameter '{name_of(name)}' is {list(state[name].shape)}, "
                            f"expected {list(value.shape)}")
        if not state[name].is_floating_point():
            raise UserError(f"{origin}: parameter '{name_of(name)}' is {state[name].dtype}, expected floating point")
        if not state[name].isfinite().all():
            raise UserError(f"{origin}: parameter '{name_of(name)}' has values that are not finite")
    for name in state:
        if name not in expected:
            raise UserError(f"{origin}: parameter '{name_of(name)}' is one too many")


def _is_encoder_only(state: dict[str, torch.Tensor]) -> bool:
    return all(name.startswith("encoder.") for name in state)


def _load(path: pathlib.Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint file")
    try:
        # MAE's way of saving leaves the command line beside the weights: plain data, safe to rebuild. What others have
        # allowed already (s3prl's checkpoints need it too) must not be taken from them at the end of the block.
        allowed = torch.serialization.get_safe_globals()
        ours = [kind for kind in (argparse.Namespace, pathlib.PosixPath) if kind not in allowed]
        with torch.serialization.safe_globals(ours):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many unrelated types for a file it can't read
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: not a readable checkpoint, or cut off ({reason})") from error
    if isinstance(content, dict) and {"model", "config", "statistics"} <= content.keys():
        raise UserError(f"{path}: a checkpoint of pre-training here, not a published one: run m2d.bin.export on it")
    model = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(model, dict) or not model or not all(
            isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in model.items()):
        raise UserError(f"{path}: holds no state dict, neither at the top nor under 'model'")
    return model


def _interpret(tensors: dict[str, torch.Tensor], heads: int | None) -> Published:
    for name, value in tensors.items():
        if not value.is_floating_point() or value.layout != torch.strided or value.is_meta:
            raise UserError(f"'{name}' is a {value.layout} tensor of {value.dtype} on {value.device}, expected plain "
                            "floating-point values")
    tensors = dict(tensors)
    positions = {name: tensors.pop(name) for name in ("pos_embed", "decoder_pos_embed") if name in tensors}
    statistics = _statistics(tensors.pop("norm_stats", None))
    state = {}
    for name, value in tensors.items():
        ours = from_published(name)
        if ours is None:
            raise UserError(f"parameter '{name}' belongs to no published M2D, M2D-S or MSM-MAE model")
        state[ours] = value.float()
    encoder = _encoder_config(state, positions, heads)
    check_state(state, _expected(state, encoder), "not a whole model", to_published)
    return Published(state, encoder, statistics)


def _statistics(norm_stats: torch.Tensor | None) -> tuple[float, float]:
    if norm_stats is None:
        LOG.info("no norm_stats in the checkpoint: the public default %s is taken", DEFAULT_STATISTICS)
        return DEFAULT_STATISTICS
    if norm_stats.shape != (2,):
        raise UserError(f"norm_stats is {list(norm_stats.shape)}, expected [2], mean and deviation")
    mean, std = norm_stats.tolist()
    if not math.isfinite(mean) or not 0 < std < math.inf:
        raise UserError(f"norm_stats is {mean:g} and {std:g}, expected a mean and a positive deviation")
    return mean, std


def _encoder_config(
    state: dict[str, torch.Tensor], positions: dict[str, torch.Tensor], heads: int | None
) -> EncoderConfig:
    weight = state.get("encoder.patch_embed.proj.weight")
    if weight is None:
        raise UserError("parameter 'patch_embed.proj.weight' is missing")
    if weight.ndim != 4:
        raise UserError(f"patch_embed.proj.weight is {list(weight.shape)}, expected [D, channels, f, t]")
    width, in_channels, f, t = weight.shape
    if "pos_embed" not in positions:
        raise UserError("parameter 'pos_embed' is missing: the input size can't be told")
    grids = {name: _grid_of(table, name) for name, table in positions.items()}
    if positions["pos_embed"].shape[-1] != width:
        raise UserError(f"pos_embed is {positions['pos_embed'].shape[-1]} wide, patch_embed.proj.weight {width}")
    if len(set(grids.values())) != 1:
        raise UserError(f"decoder_pos_embed is for the grid {tuple(grids['decoder_pos_embed'])}, "
                        f"pos_embed for {tuple(grids['pos_embed'])}")
    grid = grids["pos_embed"]
    depth = _depth(state, "encoder.transformer.blocks.")
    return EncoderConfig((grid.n_freq * f, grid.n_time * t), (f, t), in_channels, width, depth,
                         heads or max(1, width // HEAD_WIDTH))


def _grid_of(table: torch.Tensor, name: str) -> Grid:
    """The grid whose sin-cos positions are this table [1, 1 + L, D]; only one of the factorings of L can be."""
    if table.ndim != 3 or table.shape[0] != 1 or table.shape[1] < 2 or table.shape[2] % 4:
        raise UserError(f"{name} is {list(table.shape)}, expected [1, 1 + patches, width]")
    n_patches, width = table.shape[1] - 1, table.shape[2]
    for n_freq in range(1, n_patches + 1):
        if n_patches % n_freq == 0:
            grid = Grid(n_freq, n_patches // n_freq)
            expected = _with_class_row(sincos_positions(grid, width))
            if torch.allclose(table.float(), expected, rtol=0, atol=POSITION_TOLERANCE):
                return grid
    raise UserError(f"{name} is not the fixed sin-cos table of any grid of {n_patches} patches")


def _with_class_row(table: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.pad(table, (0, 0, 1, 0)).unsqueeze(0)


def _expected(state: dict[str, torch.Tensor], config: EncoderConfig) -> dict[str, torch.Tensor]:
    """The parameters, on the meta device, of the whole model that the file begins to describe."""
    with torch.device("meta"):
        if _is_encoder_only(state):
            return Encoder(config).state_dict(prefix="encoder.")
        return build_objective(_objective_config(state, config)).state_dict()


def _objective_config(state: dict[str, torch.Tensor], encoder: EncoderConfig) -> ModelConfig:
    """Options of a model with parameters of these shapes; what no shape tells (heads, ratio) is arbitrary."""
    for needed in ("predictor.embed.weight", "predictor.mask_token"):
        if needed not in state:
            raise UserError(f"parameter '{to_published(needed)}' is missing")
    has_target = any(name.startswith("target.") for name in state)
    offline = state.get("offline.weight")
    return ModelConfig(
        objective="m2d" if has_target or offline is not None else "mae",
        input_size=list(encoder.input_size), patch_size=list(encoder.patch_size), in_channels=encoder.in_channels,
        size="custom", width=encoder.width, depth=encoder.depth, heads=encoder.heads,
        predictor_width=_rows(state, "predictor.embed.weight"),
        predictor_depth=_depth(state, "predictor.transformer.blocks."), predictor_heads=1, mask_ratio=0.5,
        lambda_m2d=1.0 if has_target or offline is None else 0.0, lambda_off=0.0 if offline is None else 1.0,
        teacher_width=1 if offline is None else _rows(state, "offline.weight"))


def _rows(state: dict[str, torch.Tensor], name: str) -> int:
    if state[name].ndim != 2 or not len(state[name]):
        raise UserError(f"parameter '{to_published(name)}' is {list(state[name].shape)}, expected a matrix")
    return len(state[name])


def _depth(state: dict[str, torch.Tensor], prefix: str) -> int:
    """Blocks in the file, at least one: of a file without any, the first is what is missing."""
    return max(1, len({name[len(prefix):].split(".")[0] for name in state if name.startswith(prefix)}))
