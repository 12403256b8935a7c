"""Errors that the user can act on, each with its exit code."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class UserError(Exception):
    """Bad input or a bad setting: one line that says which file or option, what is wrong and what to do.

    Entry points print it without a traceback and exit with `status` (see `m2d.common.cli.run`).
    """

    status = 1


class OtherRunError(UserError):
    """A folder (experiment or packed features) holds work with other options or data than the requested ones."""

    status = 65
    """EX_DATAERR of sysexits.h; the recipes then clear the folder away and run the command again."""


@contextmanager
def errors_at(place: object) -> Iterator[None]:
    """Bad input that the block meets, a `ValueError` or `UserError`, becomes a `UserError` that names `place`."""
    try:
        yield
    except (UserError, ValueError) as error:
        raise UserError(f"{place}: {str(error).removeprefix(f'{place}: ')}") from None


def needed(module: str, purpose: str, extra: str) -> Any:
    """An optional module, imported. Raises `UserError` that names the extra which brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{purpose} needs the package {error.name}: pip install 'm2d[{extra}]'") from None
