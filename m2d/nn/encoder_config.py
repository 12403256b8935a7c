"""Configuration of the encoder: input, patches, size."""

from dataclasses import dataclass
from typing import NamedTuple

from m2d.nn.patches import Grid

MAX_WIDTH, MAX_DEPTH = 65_536, 1_000
"""Beyond any transformer: a larger number is a mistake, and building it would take the machine's memory."""


class Size(NamedTuple):
    """Width, depth and attention heads of one transformer."""

    width: int
    depth: int
    heads: int

    def check(self, what: str) -> None:
        """Raise ValueError unless a transformer of this size with sin-cos positions can be built."""
        if min(self) < 1 or self.width % self.heads or self.width % 4:
            raise ValueError(f"{what}: width {self.width}, depth {self.depth}, heads {self.heads}: all must be "
                            "positive, the width a multiple of the heads and of 4")
        if self.width > MAX_WIDTH or self.depth > MAX_DEPTH:
            raise ValueError(f"{what}: width {self.width}, depth {self.depth}: at most {MAX_WIDTH} and {MAX_DEPTH}")


# ViT sizes of Dosovitskiy et al. 2021, table 1 (small: Touvron et al. 2021)
ENCODERS = {"small": Size(384, 12, 6), "base": Size(768, 12, 12), "large": Size(1024, 24, 16)}


@dataclass(frozen=True)
class EncoderConfig:
    """Input, patches and size of an encoder. Raises ValueError for values that do not fit together."""

    input_size: tuple[int, int]  # frequency bins, time frames
    patch_size: tuple[int, int]  # frequency bins, time frames
    in_channels: int
    width: int
    depth: int
    heads: int

    def __post_init__(self) -> None:
        if len(self.input_size) != 2 or len(self.patch_size) != 2:
            raise ValueError("input_size and patch_size are two numbers each: frequency bins, time frames")
        if min(*self.input_size, *self.patch_size, self.in_channels) < 1:
            raise ValueError("input_size, patch_size and in_channels must be positive")
        if self.input_size[0] % self.patch_size[0]:
            raise ValueError(f"patch_size {self.patch_size[0]} does not divide the {self.input_size[0]} frequency bins")
        if self.grid.n_time == 0:
            raise ValueError(f"input_size {self.input_size[1]} in time is shorter than a patch of {self.patch_size[1]}")
        self.size.check("encoder")

    @property
    def size(self) -> Size:
        return Size(self.width, self.depth, self.heads)

    @property
    def grid(self) -> Grid:
        """Patches along frequency and time; a remainder of the time axis shorter than a patch is not used."""
        return Grid(self.input_size[0] // self.patch_size[0], self.input_size[1] // self.patch_size[1])
