"""Progress of long work: a tqdm bar on a terminal, plain lines with an ETA in a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
LOG = logging.getLogger(__name__)


def progress(items: Iterable[T], what: str, total: int | None = None, every_s: float = 15.0) -> Iterator[T]:
    """Yield the items, showing how many are done, the rate and the time left."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, total=total)
        return
    start = last = time.monotonic()
    count = 0
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= every_s:
            last = now
            LOG.info("%s: %s", what, _line(count, total, now - start))
    LOG.info("%s: %d done in %s", what, count, duration(time.monotonic() - start))


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


def _line(count: int, total: int | None, elapsed: float) -> str:
    rate = count / elapsed
    if not total:
        return f"{count}, {rate:.1f}/s"
    return f"{count}/{total}, {rate:.1f}/s, ETA {duration((total - count) / rate)}"
