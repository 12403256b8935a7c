"""Corpora as they are downloaded, read into Kaldi data directories: one reader per layout, found by name.

A reader takes `root` and those options of `m2d.data.corpora.prepare.PrepareConfig` that concern it, by their names.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from m2d.common.errors import UserError
from m2d.common.options import nearest
from m2d.common.registry import Registry
from m2d.data.datadir import DataDir

LOG = logging.getLogger(__name__)
CORPORA: Registry[Callable[..., DataDir]] = Registry("corpus", __name__)
SHOWN = 20


def warn_of(faults: Sequence[str], corpus: str | Path) -> None:
    """Log each fault in a line, the first `SHOWN` of them, and how many there are in all."""
    for fault in faults[:SHOWN]:
        LOG.warning("%s", fault)
    if faults:
        LOG.warning("%s: faults: %d%s; the rest is used", corpus, len(faults),
                    f" (the first {SHOWN} are named above)" if len(faults) > SHOWN else "")


def check_parts(corpus: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Raise `UserError` where no part of a corpus is named, or one that it does not have."""
    if not given:
        raise UserError(f"parts=[]: name parts of {corpus}, of {', '.join(known)}")
    for part in given:
        if part not in known:
            raise UserError(f"{corpus} has no part '{part}'{nearest(part, list(known))}")
