"""LibriSpeech as openslr.org/12 unpacks it."""

from __future__ import annotations

import logging
from pathlib import Path

from m2d.common.config import nearest
from m2d.common.errors import UserError
from m2d.common.progress import progress
from m2d.data.corpora import CORPORA
from m2d.data.datadir import DataDir

LOG = logging.getLogger(__name__)

PARTS = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other",
         "train-clean-5", "dev-clean-2")  # the last two: Mini LibriSpeech

TREE = "expected LibriSpeech/PART/SPEAKER/CHAPTER/{SPEAKER-CHAPTER-NNNN.flac, SPEAKER-CHAPTER.trans.txt}, SPEAKERS.TXT"


@CORPORA.register("librispeech")
def read_librispeech(root: str | Path, parts: list[str]) -> DataDir:
    """Recordings, transcripts and speakers of the chosen parts.

    `root` is the folder LibriSpeech or the one it is in. Raises `UserError` for a part, a transcript or a recording
    that is missing; speakers that SPEAKERS.TXT lists and the folder lacks are a warning. Recordings converted to wav
    are taken as well.
    """
    root = Path(root).resolve()
    if (root / "LibriSpeech").is_dir():
        root = root / "LibriSpeech"
    if not parts:
        raise UserError(f"parts=[]: name parts of LibriSpeech, of {', '.join(PARTS)}")
    for part in parts:
        if part not in PARTS:
            raise UserError(f"LibriSpeech has no part '{part}'{nearest(part, list(PARTS))}")
        if not (root / part).is_dir():
            raise UserError(f"{root / part}: no such folder; {TREE}: download {part}.tar.gz from openslr.org/12")
    data = DataDir({})
    for part in parts:
        for chapter in progress(sorted((root / part).glob("*/*/")), f"LibriSpeech {part}"):
            _read_chapter(chapter, data)
        _report_speakers(root, part)
    if not data.wav:
        raise UserError(f"{root}: no chapters in {', '.join(parts)}; {TREE}")
    return data


def _read_chapter(chapter: Path, data: DataDir) -> None:
    name = f"{chapter.parent.name}-{chapter.name}"
    transcript = chapter / f"{name}.trans.txt"
    if not transcript.is_file():
        raise UserError(f"{transcript}: transcript is missing; {TREE}: unpack this part again")
    recordings = {path.stem: str(path) for ending in ("wav", "flac") for path in chapter.glob(f"*.{ending}")}
    text = {}
    for line in transcript.read_text(encoding="utf-8").splitlines():
        utterance, _, words = line.partition(" ")
        text[utterance] = words
    if different := recordings.keys() ^ text.keys():
        utterance = min(different)
        what = "transcript without recording" if utterance in text else "recording without transcript"
        raise UserError(f"{chapter}: {what}: {utterance} ({len(different)} such): unpack this part again")
    data.wav.update(recordings)
    data.text.update(text)
    data.utt2spk.update(dict.fromkeys(text, chapter.parent.name))


def _report_speakers(root: Path, part: str) -> None:
    table = root / "SPEAKERS.TXT"
    if not table.is_file():
        LOG.warning("%s: missing, so whether %s has all its speakers is not known", table, part)
        return
    rows = (line.split("|") for line in table.read_text(encoding="utf-8").splitlines() if not line.startswith(";"))
    listed = {row[0].strip() for row in rows if len(row) > 2 and row[2].strip() == part}
    if missing := listed - {path.name for path in (root / part).iterdir()}:
        LOG.warning("%s: %d of the %d speakers that SPEAKERS.TXT lists are not there", root / part, len(missing),
                    len(listed))
