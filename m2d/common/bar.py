"""A line on a terminal that is drawn over and over. Needs the standard library alone."""

from __future__ import annotations

import os
import sys
from typing import TextIO

CLEAR = "\r\033[K"
BAR_WIDTH = 24


def redraws(stream: TextIO) -> bool:
    """Whether lines may be drawn over: a terminal that can do so, and nobody who asks for plain text (`NO_COLOR`)."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("NO_COLOR")


def clear_code(stream: TextIO) -> str:
    """What to write before a line of its own, so that it takes the place of a bar; nothing where there are no bars."""
    return CLEAR if redraws(stream) else ""


class Bar:
    """The line of one piece of work. Draw only where `redraws` says so."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stderr

    def draw(self, fraction: float | None, text: str) -> None:
        """Show a bar (none where `fraction` is None) and the text, cut to the terminal's width."""
        try:
            width = os.get_terminal_size(self.stream.fileno()).columns or 80
        except OSError:
            width = 80
        line = text
        if fraction is not None:
            fraction = min(max(fraction, 0.0), 1.0)
            length = BAR_WIDTH if width >= 100 else BAR_WIDTH // 2
            full = round(length * fraction)
            line = f"  \033[32m{'━' * full}\033[90m{'━' * (length - full)}\033[0m {fraction:4.0%}  "
            width -= length + 9
            line += text[:max(width - 1, 0)]
        else:
            line = f"  {text}"[:width - 1]
        self.stream.write(CLEAR + line)
        self.stream.flush()

    def clear(self) -> None:
        """Take the line away."""
        self.stream.write(CLEAR)
        self.stream.flush()


def duration(seconds: float) -> str:
    """Seconds as a person reads them: 42s, 3m10s, 5h02m, 2d03h."""
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 86400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
    return f"{seconds // 86400}d{seconds % 86400 // 3600:02d}h"
