"""Check of every audio file of a task: readability, length, digest of the content."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from m2d.audio.wave import AudioError, audio_duration
from m2d.common.errors import UserError
from m2d.common.files import sha256
from m2d.common.progress import progress

MAX_UNREADABLE = 0.1
"""Share of a task's files that may be empty or damaged; more means a broken copy, not a few known faults."""


class Audio(NamedTuple):
    """One file: length in seconds and digest of the content, or the reason why it can't be read (otherwise empty)."""

    seconds: float
    digest: str
    fault: str


def inspect(root: Path, names: Sequence[str], title: str) -> dict[str, Audio]:
    """Check each of the files.

    Raises `UserError` when more than `MAX_UNREADABLE` of them are empty or damaged.
    """
    def look(name: str) -> Audio:
        try:
            return Audio(audio_duration(root / name), sha256(root / name), "")
        except AudioError as error:
            return Audio(0.0, "", str(error))

    names = list(dict.fromkeys(names))
    with ThreadPoolExecutor(8) as pool:  # it waits for the disk
        found = dict(zip(names, progress(pool.map(look, names), f"checking {title}", len(names)), strict=True))
    faults = [audio.fault for audio in found.values() if audio.fault]
    if len(faults) > MAX_UNREADABLE * len(found):
        raise UserError(f"{title}: {len(faults)} of {len(found)} files in {root} are empty or damaged, for example: "
                        f"{faults[0]}")
    return found


def content_of(audio: dict[str, Audio]) -> str:
    """One digest for the content of all readable files."""
    return hashlib.sha256("".join(file.digest for file in audio.values()).encode()).hexdigest()[:16]
