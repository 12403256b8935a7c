"""Command line of the entry points: `python -m m2d.bin.NAME [--config FILE.yaml] [key=value ...]`."""

import dataclasses
import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from m2d.common.config import describe, known_keys, load_config
from m2d.common.errors import UserError
from m2d.common.progress import clear_code

T = TypeVar("T")
NO_MEMORY = ("DefaultCPUAllocator", "out of memory")  # in torch's errors
LOG_FORMAT = "%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s"


def parse(table: type[T], description: str, argv: list[str] | None = None, positional: tuple[str, ...] = ()) -> T:
    """Options of one entry point. `--help` prints the table and exits.

    Arguments other than `key=value` are values of the `positional` options, in order; a list option takes all that
    remain. Raises `UserError` as `load_config` does, for `--config` without a file and for an argument too many.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if "-h" in words or "--help" in words:
        places = "".join(f"{name.upper()} " for name in positional)
        print(f"{description}\n\nusage: {places}[--config FILE.yaml] [key=value ...]\n\n{describe(table)}")
        raise SystemExit(0)
    yaml: str | None = None
    overrides: list[str] = []
    values: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--config":
            if not words:
                raise UserError("--config needs a YAML file")
            yaml = words.pop(0)
        elif word.startswith("--config="):
            yaml = word.partition("=")[2]
        elif positional and not word.startswith("-") and ("=" not in word or _is_file(table, word)):
            values.append(word)
        else:
            overrides.append(word)
    given = _place(table, positional, values)
    config = load_config(table, yaml, [*overrides, *(f"{name}=-" for name in given if isinstance(given[name], str))])
    return dataclasses.replace(config, **given)


def _is_file(table: type, word: str) -> bool:
    """Whether an argument with a `=` is an existing file and not an option."""
    return word.partition("=")[0] not in known_keys(table) and os.path.exists(word)


def _place(table: type, positional: tuple[str, ...], values: list[str]) -> dict[str, str | list[str]]:
    """The positional options that have values."""
    given: dict[str, str | list[str]] = {}
    for name in positional:
        if values and known_keys(table)[name].default_factory is list:
            given[name], values = values, []
        elif values:
            given[name], *values = values
    if values:
        raise UserError(f"unexpected argument '{values[0]}': write options as key=value (see --help)")
    return given


def run(table: type[T], main: Callable[[T], int | None], description: str, positional: tuple[str, ...] = ()) -> None:
    """Parse the options, set up the log, call `main`, exit with its status.

    A `UserError` becomes one line on standard error and its status; so does what the machine refuses (disk,
    permissions, open files, memory), with status 1.
    """
    setup_log()
    try:
        with quiet_at_closed_pipe():
            status = main(parse(table, description, positional=positional))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.status) from None
    except (OSError, MemoryError, RuntimeError) as error:
        if (refusal := _refusal(error)) is None:
            raise
        print(f"error: {refusal}", file=sys.stderr)
        raise SystemExit(1) from None
    raise SystemExit(status or 0)


def _refusal(error: Exception) -> str | None:
    """What the machine refuses, in one line; None for an error of another kind."""
    if isinstance(error, OSError):
        advice = ": raise the limit (ulimit -n)" if error.errno == errno.EMFILE else ""
        return f"{error.filename}: {error.strerror}{advice}" if error.filename else f"{error}{advice}"
    if isinstance(error, MemoryError) or any(text in str(error) for text in NO_MEMORY):
        return "out of memory: take smaller batches or fewer processes, or a machine with more"
    return None


@contextmanager
def quiet_at_closed_pipe() -> Iterator[None]:
    """Exit with status 1, without a traceback, when the reader of standard output closes the pipe (`| head`)."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def setup_log() -> None:
    """Log to standard error in the format of all stages; on a terminal a log line overwrites the progress bar."""
    logging.basicConfig(level=logging.INFO, format=clear_code(sys.stderr) + LOG_FORMAT, datefmt="%Y-%m-%d %H:%M:%S",
                        stream=sys.stderr)
