"""A progress bar on a terminal. Uses the standard library only."""

import os
import sys
from typing import TextIO

CLEAR = "\r\033[K"
BAR_WIDTH = 24


def redraws(stream: TextIO) -> bool:
    """Whether the stream is a terminal that can redraw a line, and `NO_COLOR` is not set."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("NO_COLOR")


def clear_code(stream: TextIO) -> str:
    """The control code that makes the next line overwrite a bar; empty where bars are not drawn."""
    return CLEAR if redraws(stream) else ""


class Bar:
    """One progress bar. To be drawn only where `redraws` is true."""

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
        self.stream.write(CLEAR)
        self.stream.flush()


def duration(seconds: float) -> str:
    """A duration in readable form: 42s, 3m10s, 5h02m, 2d03h."""
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 86400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
    return f"{seconds // 86400}d{seconds % 86400 // 3600:02d}h"
