"""Which networks the shapes of a published file's parameters describe."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from m2d.nn import ModelConfig, build_objective
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import ENCODERS, EncoderConfig
from m2d.nn.patches import Grid, sincos_positions
from m2d.pretrained.layouts import to_published

POSITION_TOLERANCE = 1e-4


def encoder_config(state: dict[str, torch.Tensor], positions: dict[str, torch.Tensor],
                   heads: int | None) -> EncoderConfig:
    """The encoder whose parameters, under our names, are `state`.

    `positions` are its position tables, `heads` are the ones that are given. Raises ValueError for shapes that don't
    fit together, and where the heads aren't given and the encoder is no ViT of a known size.
    """
    weight = state.get("encoder.patch_embed.proj.weight")
    if weight is None:
        raise ValueError("parameter 'patch_embed.proj.weight' is missing")
    if weight.ndim != 4:
        raise ValueError(f"patch_embed.proj.weight is {list(weight.shape)}, expected [D, channels, f, t]")
    width, in_channels, f, t = weight.shape
    if "pos_embed" not in positions:
        raise ValueError("parameter 'pos_embed' is missing: the input size can't be told")
    grids = {name: _grid_of(table, name) for name, table in positions.items()}
    if positions["pos_embed"].shape[-1] != width:
        raise ValueError(f"pos_embed is {positions['pos_embed'].shape[-1]} wide, patch_embed.proj.weight {width}")
    if len(set(grids.values())) != 1:
        raise ValueError(f"decoder_pos_embed is for the grid {tuple(grids['decoder_pos_embed'])}, "
                        f"pos_embed for {tuple(grids['pos_embed'])}")
    grid = grids["pos_embed"]
    depth = _depth(state, "encoder.transformer.blocks.")
    if heads is None:
        heads = next((size.heads for size in ENCODERS.values() if size[:2] == (width, depth)), None)
    if heads is None:
        raise ValueError(f"an encoder {width} wide and {depth} blocks deep is none of ViT {', '.join(ENCODERS)}, and "
                         "no tensor tells its attention heads: give heads=N")
    return EncoderConfig((grid.n_freq * f, grid.n_time * t), (f, t), in_channels, width, depth, heads)


def _grid_of(table: torch.Tensor, name: str) -> Grid:
    """The grid whose sin-cos positions are this table [1, 1 + L, D]; only one of the factorings of L can be."""
    if table.ndim != 3 or table.shape[0] != 1 or table.shape[1] < 2 or table.shape[2] % 4:
        raise ValueError(f"{name} is {list(table.shape)}, expected [1, 1 + patches, width]")
    n_patches, width = table.shape[1] - 1, table.shape[2]
    tolerance = max(POSITION_TOLERANCE, torch.finfo(table.dtype).eps)  # a file of float16 has rounded the table
    for n_freq in range(1, n_patches + 1):
        if n_patches % n_freq == 0:
            grid = Grid(n_freq, n_patches // n_freq)
            expected = with_class_row(sincos_positions(grid, width))
            if torch.allclose(table.float(), expected, rtol=0, atol=tolerance):
                return grid
    raise ValueError(f"{name} is not the fixed sin-cos table of any grid of {n_patches} patches")


def with_class_row(table: torch.Tensor) -> torch.Tensor:
    """Positions [L, D] as published files have them, [1, 1 + L, D]: the class token's row is zero."""
    return torch.nn.functional.pad(table, (0, 0, 1, 0)).unsqueeze(0)


class Undrawn(TorchFunctionMode):
    """Modules made inside draw no weights: a file's take their place. On the meta device drawing would take 4 s."""

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """The tensor as it is, instead of a random one."""
        if function in (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_):  # these pass it by its name
            return kwargs["tensor"]
        return args[0] if function in (torch.Tensor.normal_, torch.Tensor.uniform_) else function(*args, **kwargs or {})


def expected_parameters(state: dict[str, torch.Tensor], config: EncoderConfig) -> dict[str, torch.Tensor]:
    """The parameters, on the meta device, of the whole model that the file begins to describe."""
    with torch.device("meta"), Undrawn():
        if is_encoder_only(state):
            return Encoder(config).state_dict(prefix="encoder.")
        return build_objective(_objective_config(state, config)).state_dict()


def _objective_config(state: dict[str, torch.Tensor], encoder: EncoderConfig) -> ModelConfig:
    """Options of a model with parameters of these shapes; what no shape tells (heads, ratio) is arbitrary."""
    for needed in ("predictor.embed.weight", "predictor.mask_token"):
        if needed not in state:
            raise ValueError(f"parameter '{to_published(needed)}' is missing")
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
        raise ValueError(f"parameter '{to_published(name)}' is {list(state[name].shape)}, expected a matrix")
    return len(state[name])


def _depth(state: dict[str, torch.Tensor], prefix: str) -> int:
    """Blocks in the file, at least one: of a file without any, the first is what is missing."""
    return max(1, len({name[len(prefix):].split(".")[0] for name in state if name.startswith(prefix)}))


def check_state(state: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], origin: str,
                name_of: Callable[[str], str] = str) -> None:
    """Raise ValueError for the first parameter that is missing, of another shape, not finite numbers, or one too many.

    `name_of` gives the name that the reader of the message knows a parameter by.
    """
    for name, value in expected.items():
        if name not in state:
            raise ValueError(f"{origin}: parameter '{name_of(name)}' is missing")
        if state[name].shape != value.shape:
            raise ValueError(f"{origin}: parameter '{name_of(name)}' is {list(state[name].shape)}, "
                            f"expected {list(value.shape)}")
        if not state[name].is_floating_point():
            raise ValueError(f"{origin}: parameter '{name_of(name)}' is {state[name].dtype}, expected floating point")
        # a finite sum has finite terms, and is ten times cheaper
        if not state[name].sum().isfinite() and not state[name].isfinite().all():
            raise ValueError(f"{origin}: parameter '{name_of(name)}' has values that are not finite")
    for name in state:
        if name not in expected:
            raise ValueError(f"{origin}: parameter '{name_of(name)}' is one too many")


def is_encoder_only(state: dict[str, torch.Tensor]) -> bool:
    """Whether all parameters, under our names, are the encoder's."""
    return all(name.startswith("encoder.") for name in state)
