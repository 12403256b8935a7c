"""Any audio: a folder that is searched, or a text file that lists audio files."""

import logging
import math
import os
import re
from collections import Counter
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


def find_audio(root: str | Path) -> list[str]:
    """Audio files below a folder (by their ending, links followed, sorted), or of a list, as absolute paths."""
    root = Path(root).absolute()
    if root.is_dir():
        found = [os.path.join(root, name) for name in audio_files(root)]
    elif root.is_file():
        try:
            lines = root.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise UserError(f"{root}: is no folder and no text list of audio files") from error
        found = [str(root.parent / line.strip()) for line in lines if line.strip()]
        if missing := next((path for path in found if not os.path.isfile(path)), None):
            raise UserError(f"{root}: lists {missing}, which is not there")
    else:
        raise UserError(f"{root}: no such folder or list of audio files")
    if not found:
        raise UserError(f"{root}: no audio in it ({' '.join(sorted(EXTENSIONS))})")
    return found


def _name(paths: list[str], base: Path) -> dict[str, str]:
    """Ids for files: the path below `base` with dashes for slashes, and the ending where two differ by it alone."""
    start = str(base.absolute()).rstrip(os.sep) + os.sep
    whole = [re.sub(r"\s+", "_", path.removeprefix(start).lstrip(os.sep).replace(os.sep, "-")) for path in paths]
    short = [os.path.splitext(name)[0] for name in whole]
    count = Counter(short)
    named: dict[str, str] = {}
    for path, with_ending, without in zip(paths, whole, short, strict=True):
        name = with_ending if count[without] > 1 else without
        if name in named:
            raise UserError(f"{path} and {named[name]} would have the same id '{name}': rename one")
        named[name] = path
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
