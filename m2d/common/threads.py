"""Reading ahead and writing behind, in a thread."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
AHEAD = 2  # items that are read before they are asked for


def read_ahead(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield `function(item)` for each item, in order; one thread is up to `AHEAD` items in front."""
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def write_behind() -> Iterator[Callable[..., None]]:
    """A function that hands `work, *arguments` to one thread, after the work before, whose error it raises."""
    with ThreadPoolExecutor(1) as pool:
        before: list[Future[None]] = []

        def hand_over(work: Callable[..., None], *arguments: Any) -> None:
            finish()
            before.append(pool.submit(work, *arguments))

        def finish() -> None:
            while before:
                before.pop().result()

        yield hand_over
        finish()
