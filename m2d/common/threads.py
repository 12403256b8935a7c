"""File-system calls made by several threads at once."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
THREADS = 16  # a network file system serves many requests at once
RUN = 256  # items that a thread takes at a time


def in_threads(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield `function(item)` for each item, in order and in constant memory."""
    source = iter(items)
    with ThreadPoolExecutor(THREADS) as pool:
        while runs := [run for _ in range(4 * THREADS) if (run := list(itertools.islice(source, RUN)))]:
            for results in pool.map(lambda run: [function(item) for item in run], runs):
                yield from results
