"""LibriSpeech as openslr.org/12 unpacks it."""

import logging
from pathlib import Path

from m2d.common.errors import UserError
from m2d.common.files import existing_folder
from m2d.common.progress import progress
from m2d.data.corpora import CORPORA, check_parts, warn_of
from m2d.data.datadir import DataDir

LOG = logging.getLogger(__name__)

PARTS = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other",
         "train-clean-5", "dev-clean-2")  # the last two: Mini LibriSpeech

TREE = "expected LibriSpeech/PART/SPEAKER/CHAPTER/{SPEAKER-CHAPTER-NNNN.flac, SPEAKER-CHAPTER.trans.txt}, SPEAKERS.TXT"


@CORPORA.register("librispeech")
def read_librispeech(root: str | Path, parts: list[str]) -> DataDir:
    """Recordings, transcripts and speakers of the chosen parts.

    `root` is the folder LibriSpeech or the one it is in. Recordings converted to wav are taken as well. What is missing
    below a part (a recording, a transcript, a speaker of SPEAKERS.TXT) is a warning: recordings without a transcript
    are kept. Raises `UserError` for a part that is missing or empty.
    """
    root = Path(root).resolve()
    if (root / "LibriSpeech").is_dir():
        root = root / "LibriSpeech"
    check_parts("LibriSpeech", parts, PARTS)
    for part in parts:
        existing_folder(root / part, f"folder; {TREE}: download {part}.tar.gz from openslr.org/12")
    data = DataDir({})
    for part in parts:
        faults: list[str] = []
        for chapter in progress(sorted((root / part).glob("*/*/")), f"LibriSpeech {part}"):
            faults += _read_chapter(chapter, data)
        warn_of(faults, root / part)
        _report_speakers(root, part)
    if not data.wav:
        raise UserError(f"{root}: no chapters in {', '.join(parts)}; {TREE}")
    return data


def _read_chapter(chapter: Path, data: DataDir) -> list[str]:
    """Enter the recordings of a chapter; what is wrong with it, a line each."""
    name = f"{chapter.parent.name}-{chapter.name}"
    transcript = chapter / f"{name}.trans.txt"
    recordings = {path.stem: str(path) for ending in ("wav", "flac") for path in chapter.glob(f"*.{ending}")}
    text, faults = {}, []
    try:
        for line in transcript.read_text(encoding="utf-8").splitlines():
            utterance, _, words = line.partition(" ")
            text[utterance] = words
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{transcript}: transcript can't be read ({getattr(error, 'strerror', error)})")
    else:
        faults += [f"{chapter}: transcript without recording: {utterance}"
                   for utterance in sorted(text.keys() - recordings.keys())]
        faults += [f"{chapter}: recording without transcript: {utterance}"
                   for utterance in sorted(recordings.keys() - text.keys())]
    data.wav.update(recordings)
    data.text.update((utterance, words) for utterance, words in text.items() if utterance in recordings)
    data.utt2spk.update(dict.fromkeys(recordings, chapter.parent.name))
    return faults


def _report_speakers(root: Path, part: str) -> None:
    table = root / "SPEAKERS.TXT"
    if not table.is_file():
        LOG.warning("%s: missing, so whether %s has all its speakers is not known", table, part)
        return
    lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = (line.split("|") for line in lines if not line.startswith(";"))
    listed = {row[0].strip() for row in rows if len(row) > 2 and row[2].strip() == part}
    if missing := listed - {path.name for path in (root / part).iterdir()}:
        LOG.warning("%s: %d of the %d speakers that SPEAKERS.TXT lists are not there", root / part, len(missing),
                    len(listed))
