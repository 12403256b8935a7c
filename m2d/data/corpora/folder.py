"""Any audio: a folder that is searched, or a text file that lists audio files."""

from __future__ import annotations

import logging
import math
import re
from pathlib import Path

from m2d.audio.wave import EXTENSIONS, AudioError, audio_duration, audio_files
from m2d.common.errors import UserError
from m2d.common.progress import progress
from m2d.data.corpora import CORPORA
from m2d.data.datadir import DataDir, Segment

LOG = logging.getLogger(__name__)


@CORPORA.register("folder")
def read_folder(root: str | Path, segment_seconds: float | None = None) -> DataDir:
    """All audio files under the folder `root`, or those listed one a line in the text file `root`.

    Paths in a list are relative to the list's folder. Ids are made of the path below `root`. With `segment_seconds`,
    longer recordings are cut into equal parts of at most that length; files whose length can't be read stay whole,
    for the feature stage to name. Raises `UserError` when nothing is found or a listed file is not there.
    """
    root = Path(root)
    data = DataDir(_name(find_audio(root), root if root.is_dir() else root.parent))
    if segment_seconds is not None:
        _cut(data, segment_seconds)
    return data


def find_audio(root: str | Path) -> list[Path]:
    """Audio files below a folder (by their ending, links followed, sorted), or of a list, as absolute paths."""
    root = Path(root).absolute()
    if root.is_dir():
        found = sorted(root / name for name in audio_files(root))
    elif root.is_file():
        try:
            lines = root.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise UserError(f"{root}: is no folder and no text list of audio files") from error
        found = [root.parent / line.strip() for line in lines if line.strip()]
        if missing := next((path for path in found if not path.is_file()), None):
            raise UserError(f"{root}: lists {missing}, which is not there")
    else:
        raise UserError(f"{root}: no such folder or list of audio files")
    if not found:
        raise UserError(f"{root}: no audio in it ({' '.join(sorted(EXTENSIONS))})")
    return found


def _name(paths: list[Path], base: Path) -> dict[str, str]:
    """Ids of files: the path below `base` with dashes for slashes, with the extension where only that differs."""
    base = base.absolute()

    def identify(path: Path, ending: bool) -> str:
        relative = path.relative_to(base) if path.is_relative_to(base) else Path(*path.parts[1:])
        return re.sub(r"\s+", "_", "-".join((relative if ending else relative.with_suffix("")).parts))

    short: dict[str, int] = {}
    for path in paths:
        short[identify(path, False)] = short.get(identify(path, False), 0) + 1
    named: dict[str, str] = {}
    for path in paths:
        name = identify(path, ending=short[identify(path, False)] > 1)
        if name in named:
            raise UserError(f"{path} and {named[name]} would have the same id '{name}': rename one")
        named[name] = str(path)
    return named


def _cut(data: DataDir, segment_seconds: float) -> None:
    for recording, path in progress(data.wav.items(), "lengths", total=len(data.wav)):
        try:
            seconds = audio_duration(path)
        except AudioError as error:
            LOG.warning("%s", error)
            data.segments[recording] = Segment(recording, 0.0, -1)
            continue
        count = max(1, math.ceil(seconds / segment_seconds))
        for part in range(count):
            start, end = round(seconds * part / count, 3), round(seconds * (part + 1) / count, 3)
            name = recording if count == 1 else f"{recording}-{round(100 * start):07d}-{round(100 * end):07d}"
            data.segments[name] = Segment(recording, start, end if part + 1 < count else -1)
            data.utt2dur[name] = end - start
