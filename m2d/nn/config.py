"""Options of the networks and their objective."""

from dataclasses import dataclass

from m2d.common.options import option
from m2d.nn.encoder_config import ENCODERS, EncoderConfig, Size
from m2d.nn.objectives import OBJECTIVES, Objective
from m2d.nn.patches import visible_count


@dataclass
class ModelConfig:
    """Architecture and objective. Raises ValueError for values that do not fit together."""

    objective: str = option("m2d", "name of the objective, a module of m2d.nn.objectives")
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
    teacher_width: int | None = option(None, "width of the teacher's frames (default: that of data.teacher)")
    top_layers: int = option(8, "data2vec: top blocks of the target network whose outputs are averaged")
    drop_path: float = option(0.0, "stochastic depth of the encoder's last block, for fine-tuning")
    activation_checkpointing: bool = option(False, "recompute each block in the backward pass: less memory, slower")

    def __post_init__(self) -> None:
        self._check_size_name()
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path {self.drop_path} must be at least 0 and less than 1")
        n_patches = self.encoder.grid.n_patches
        if not 0 < self.n_visible < n_patches:
            raise ValueError(f"mask_ratio {self.mask_ratio} leaves {self.n_visible} of {n_patches} patches visible: "
                            "at least one must be visible and one masked")
        self.predictor.check("predictor")
        self.objective_class.check(self)

    @property
    def objective_class(self) -> type[Objective]:
        """The class of the objective: M2D with lambda_off > 0 is M2D-S."""
        return OBJECTIVES.get("m2ds" if self.objective == "m2d" and self.lambda_off > 0 else self.objective)

    @property
    def encoder(self) -> EncoderConfig:
        size = Size(self.width, self.depth, self.heads) if self.size == "custom" else ENCODERS[self.size]
        return EncoderConfig(tuple(self.input_size), tuple(self.patch_size), self.in_channels, *size)

    @property
    def n_visible(self) -> int:
        """Patches that the online encoder sees."""
        return visible_count(self.encoder.grid.n_patches, self.mask_ratio)

    @property
    def predictor(self) -> Size:
        """Size of the predictor (of the decoder, for MSM-MAE)."""
        chosen = (self.predictor_width, self.predictor_depth, self.predictor_heads)
        return Size(*(default if value is None else value
                      for value, default in zip(chosen, self.objective_class.default_predictor, strict=True)))

    def _check_size_name(self) -> None:
        explicit = {"width": self.width, "depth": self.depth, "heads": self.heads}
        if self.size == "custom":
            missing = [name for name, value in explicit.items() if value is None]
            if missing:
                raise ValueError(f"size=custom needs {' and '.join(missing)}")
        elif self.size not in ENCODERS:
            raise ValueError(f"size '{self.size}' is not one of {', '.join(ENCODERS)}, custom")
        elif any(value is not None for value in explicit.values()):
            raise ValueError(f"width, depth and heads are fixed by size={self.size}: use size=custom to choose them")
