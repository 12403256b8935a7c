"""The utterances of a job for which feature extraction failed."""

import logging
from pathlib import Path

from m2d.common.errors import UserError
from m2d.common.files import write_text

LOG = logging.getLogger(__name__)


class FailureLog:
    """A file of lines `utterance reason`, written by `write`; `allowed` is how many there may be (None: any number)."""

    def __init__(self, path: Path, allowed: int | None = None):
        self.path, self.allowed = path, allowed
        self._reasons: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._reasons)

    def add(self, utterance: str, reason: str) -> None:
        """Note one utterance. Raises `UserError`, with the file written, when there are more than allowed."""
        LOG.warning("%s left out: %s", utterance, reason)
        self._reasons[utterance] = reason
        if self.allowed is not None and len(self) > self.allowed:
            self.write()
            raise UserError(f"{self.path}: lists {len(self)} unusable utterances, more than the {self.allowed} "
                            "allowed: mend the data, or raise max_bad_share")

    def write(self) -> None:
        """Write the file, sorted by utterance, even if nothing failed."""
        write_text(self.path, "".join(f"{utterance} {reason}\n" for utterance, reason in sorted(self._reasons.items())))
