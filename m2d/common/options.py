"""Fields of option tables. Uses the standard library only, so that `m2d.nn` needs nothing but torch and numpy."""

import dataclasses
import difflib
import math
from collections.abc import Sequence
from typing import Any


def option(default: Any = dataclasses.MISSING, help: str = "", *, factory: Any = dataclasses.MISSING,
           within: str = "", choices: Sequence[str] = (), items: tuple[float, float] = (0, math.inf)) -> Any:
    """A dataclass field with the line of help that `--help` shows. `factory` is for nested dataclasses and lists.

    `load_config` refuses numbers outside of the interval `within`, such as "[0, 1)" or "(0, inf)", and words that are
    not among `choices`; both apply to each item of a list, and not to None. A list has from `items[0]` to `items[1]`.
    """
    return dataclasses.field(default=default, default_factory=factory,
                             metadata={"help": help, "within": within, "choices": tuple(choices), "items": items})


def contains(interval: str, value: float) -> bool:
    """Whether a finite number lies in an interval written as "[0, 1)"; the empty text stands for all of them."""
    if not interval or not math.isfinite(value):
        return math.isfinite(value)
    low, high = map(float, interval[1:-1].split(","))
    return (low < value or (interval[0] == "[" and low == value)) and (
        value < high or (interval[-1] == "]" and value == high))


def nearest(word: str, known: list[str]) -> str:
    """', did you mean X?' for the closest of the known words, or the empty string when none is close."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ""
