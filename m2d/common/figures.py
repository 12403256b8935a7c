"""Figures as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from m2d.common.errors import UserError, needed
from m2d.common.files import atomic_open

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(**settings: Any) -> "Figure":
    """A matplotlib figure. Raises `UserError` if matplotlib is not installed."""
    return needed("matplotlib.figure", "drawing a figure", "train").Figure(**settings)


def save_figure(figure: "Figure", path: str | Path) -> None:
    """Write a figure atomically, in the format of its file's ending (none: PNG). `UserError` for an unknown one."""
    path = Path(path)
    kind, known = path.suffix[1:] or "png", figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise UserError(f"{path}: a figure can't be written as .{kind}: give one of {', '.join(sorted(known))}")
    with atomic_open(path, "wb") as stream:
        figure.savefig(stream, format=kind, dpi=120)
