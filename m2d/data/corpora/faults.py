"""What is wrong with parts of a corpus whose rest can be used."""

import logging
from collections.abc import Sequence
from pathlib import Path

LOG = logging.getLogger(__name__)
SHOWN = 20


def warn_of(faults: Sequence[str], corpus: str | Path) -> None:
    """Log each fault in a line, the first `SHOWN` of them, and how many there are in all."""
    for fault in faults[:SHOWN]:
        LOG.warning("%s", fault)
    if faults:
        LOG.warning("%s: faults: %d%s; the rest is used", corpus, len(faults),
                    f" (the first {SHOWN} are named above)" if len(faults) > SHOWN else "")
