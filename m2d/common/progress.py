"""Progress reports: a bar on a terminal, plain lines with an ETA in a log file."""

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

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


__all__ = ["duration", "progress"]

T = TypeVar("T")
LOG = logging.getLogger(__name__)


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield the items; log how many are done, rate and ETA every 5 to 30 s (utils/watch.py shows it), or draw a bar."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    bar = Bar() if redraws(sys.stderr) else None
    start = last = time.monotonic()
    count = 0
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last < (0.2 if bar else min(max(5.0, (now - start) / 50), 30.0)):
            continue
        last = now
        if bar:
            bar.draw(count / total if total else None, f"{what}: {_line(count, total, now - start)}")
        else:
            LOG.info("%s: %s", what, _line(count, total, now - start))
    if bar:
        bar.clear()
    LOG.info("%s: %d done in %s", what, count, duration(time.monotonic() - start))


def _line(count: int, total: int | None, elapsed: float) -> str:
    rate = count / elapsed
    if not total:
        return f"{count}, {rate:.1f}/s"
    return f"{count}/{total}, {rate:.1f}/s, ETA {duration((total - count) / rate)}"
