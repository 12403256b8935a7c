"""The shell side of an entry point: `python -m m2d.bin.NAME [--config FILE.yaml] [key=value ...]`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TypeVar

from m2d.common.config import describe, load_config
from m2d.common.errors import UserError

T = TypeVar("T")
LOG_FORMAT = "%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s"


def parse(table: type[T], description: str, argv: list[str] | None = None) -> T:
    """Options of one entry point. `--help` prints the table and exits.

    Raises `UserError` as `load_config` does, and for `--config` without a file.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if "-h" in words or "--help" in words:
        print(f"{description}\n\nusage: [--config FILE.yaml] [key=value ...]\n\n{describe(table)}")
        raise SystemExit(0)
    yaml, overrides = None, []
    while words:
        word = words.pop(0)
        if word == "--config":
            if not words:
                raise UserError("--config needs a YAML file")
            yaml = words.pop(0)
        elif word.startswith("--config="):
            yaml = word.partition("=")[2]
        else:
            overrides.append(word)
    return load_config(table, yaml, overrides)


def run(table: type[T], main: Callable[[T], int | None], description: str) -> None:
    """Parse the options, set up the log, call `main`, exit with its status.

    A `UserError` becomes one line on standard error and its status.
    """
    setup_log()
    try:
        status = main(parse(table, description))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.status) from None
    raise SystemExit(status or 0)


def setup_log() -> None:
    """Log lines go to standard error, in the one form of all stages."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, datefmt="%Y-%m-%d %H:%M:%S", stream=sys.stderr)
