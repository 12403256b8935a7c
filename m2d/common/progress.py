"""Progress reports: a bar on a terminal, plain lines with an ETA in a log file."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from m2d.common.bar import Bar, duration, redraws

__all__ = ["duration", "progress"]

T = TypeVar("T")
LOG = logging.getLogger(__name__)


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield the items and report how many are done, the rate and the ETA.

    A log gets a line every 5 s at first, later every 30 s; utils/watch.py shows them as bars.
    """
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
