"""What a model is: input, patches, encoder, predictor, objective. Every number of the networks is decided here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from m2d.common.config import nearest, option
from m2d.common.errors import UserError
from m2d.nn.patches import Grid, visible_count

OBJECTIVES = ("m2d", "m2d_all_patches", "mae")


class Size(NamedTuple):
    """Width, depth and attention heads of one transformer."""

    width: int
    depth: int
    heads: int


# ViT sizes of Dosovitskiy et al. 2021, table 1 (small: Touvron et al. 2021)
ENCODERS = {"small": Size(384, 12, 6), "base": Size(768, 12, 12), "large": Size(1024, 24, 16)}
# M2D takes MAE's decoder as its predictor unchanged; MSM-MAE makes it smaller (M2D, section 4.1)
PREDICTORS = {"m2d": Size(512, 8, 16), "m2d_all_patches": Size(512, 8, 16), "mae": Size(384, 4, 6)}


@dataclass
class ModelConfig:
    """Options of the networks and their objective. Raises `UserError` for values that do not fit together."""

    objective: str = option("m2d", "m2d (target sees masked patches), m2d_all_patches (target sees all), mae")
    input_size: list[int] = option(factory=lambda: [80, 608], help="frequency bins, time frames of one input")
    patch_size: list[int] = option(factory=lambda: [16, 16], help="frequency bins, time frames of one patch")
    in_channels: int = option(1, "channels of the input: 1 for log-mel, 3 for images")
    size: str = option("base", "encoder: small, base, large, or custom with width, depth and heads")
    width: int | None = option(None, "encoder width, for size=custom")
    depth: int | None = option(None, "encoder blocks, for size=custom")
    heads: int | None = option(None, "encoder attention heads, for size=custom")
    predictor_width: int | None = option(None, "predictor width (default 512; mae 384)")
    predictor_depth: int | None = option(None, "predictor blocks (default 8; mae 4)")
    predictor_heads: int | None = option(None, "predictor attention heads (default 16; mae 6)")
    mask_ratio: float = option(0.7, "share of the patches that is masked")
    lambda_m2d: float = option(1.0, "weight of the M2D loss; 0 leaves the target network out")
    lambda_off: float = option(0.0, "weight of the offline distillation loss (M2D-S); 0 leaves it out")
    teacher_width: int = option(768, "width of the offline teacher's frames, for lambda_off > 0")
    activation_checkpointing: bool = option(False, "recompute each block in the backward pass: less memory, slower")

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise UserError(f"objective '{self.objective}' is not one of {', '.join(OBJECTIVES)}"
                            f"{nearest(self.objective, list(OBJECTIVES))}")
        self._check_sizes()
        self._check_input()
        self._check_losses()

    @property
    def grid(self) -> Grid:
        """Patches along frequency and time; a rest shorter than a patch at the end of the time axis is not used."""
        return Grid(self.input_size[0] // self.patch_size[0], self.input_size[1] // self.patch_size[1])

    @property
    def n_visible(self) -> int:
        """Patches that the online encoder sees."""
        return visible_count(self.grid.n_patches, self.mask_ratio)

    @property
    def encoder(self) -> Size:
        """Size of the online encoder, and of the target."""
        if self.size == "custom":
            return Size(self.width, self.depth, self.heads)
        return ENCODERS[self.size]

    @property
    def predictor(self) -> Size:
        """Size of the predictor (of the decoder, for MSM-MAE)."""
        default = PREDICTORS[self.objective]
        return Size(self.predictor_width or default.width, self.predictor_depth or default.depth,
                    self.predictor_heads or default.heads)

    def _check_sizes(self) -> None:
        explicit = {"width": self.width, "depth": self.depth, "heads": self.heads}
        if self.size == "custom":
            missing = [name for name, value in explicit.items() if value is None]
            if missing:
                raise UserError(f"size=custom needs {' and '.join(missing)}")
        elif self.size not in ENCODERS:
            raise UserError(f"size '{self.size}' is not one of {', '.join(ENCODERS)}, custom")
        elif any(value is not None for value in explicit.values()):
            raise UserError(f"width, depth and heads are fixed by size={self.size}: use size=custom to choose them")
        for what, size in (("encoder", self.encoder), ("predictor", self.predictor)):
            if min(size) < 1 or size.width % size.heads or size.width % 4:
                raise UserError(f"{what} width {size.width}, depth {size.depth}, heads {size.heads}: all must be "
                                "positive, the width a multiple of 4 (sin-cos positions) and of the heads")

    def _check_input(self) -> None:
        if len(self.input_size) != 2 or len(self.patch_size) != 2:
            raise UserError("input_size and patch_size are two numbers each: frequency bins, time frames")
        if min(*self.input_size, *self.patch_size, self.in_channels) < 1:
            raise UserError("input_size, patch_size and in_channels must be positive")
        if self.input_size[0] % self.patch_size[0]:
            raise UserError(f"patch_size {self.patch_size[0]} does not divide the {self.input_size[0]} frequency bins")
        if not 0 < self.n_visible < self.grid.n_patches:
            raise UserError(f"mask_ratio {self.mask_ratio} leaves {self.n_visible} of {self.grid.n_patches} patches "
                            "visible: at least one must be visible and one masked")

    def _check_losses(self) -> None:
        if self.objective == "mae":
            if self.lambda_m2d != 1.0 or self.lambda_off != 0.0:
                raise UserError("lambda_m2d and lambda_off do not apply to objective=mae: leave them at 1 and 0")
            return
        if min(self.lambda_m2d, self.lambda_off) < 0 or self.lambda_m2d + self.lambda_off == 0:
            raise UserError(f"lambda_m2d {self.lambda_m2d}, lambda_off {self.lambda_off}: "
                            "neither may be negative, one must be positive")
        if self.lambda_off and self.patch_size[1] % 2:
            raise UserError(f"patch_size {self.patch_size[1]} in time: the 50 Hz teacher needs an even number of frames")
