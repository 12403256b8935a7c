"""Lhotse's cut manifests, whose recordings are files."""

import logging
from pathlib import Path
from typing import Any

from m2d.common.errors import UserError, needed
from m2d.common.files import existing_file
from m2d.common.progress import progress
from m2d.data.corpora import CORPORA
from m2d.data.corpora.tables import finish
from m2d.data.datadir import DataDir, Segment

LOG = logging.getLogger(__name__)


@CORPORA.register("lhotse")
def read_lhotse(root: str | Path) -> DataDir:
    """The cuts of a manifest (`cuts.jsonl.gz`): their parts of recordings, transcripts and speakers.

    Relative paths start at the manifest's folder. Mixed or padded cuts, and those whose recording is not one file, are
    skipped and counted. Raises `UserError` without the `lhotse` package, or if no cut is left.
    """
    lhotse = needed("lhotse", "reading manifests", "containers")
    root, data, left_out = Path(root), DataDir({}), 0
    existing_file(root, "manifest of cuts: give the file, such as cuts.jsonl.gz")
    try:
        cuts = lhotse.CutSet.from_file(root)
        for cut in progress(cuts, "cuts"):
            recording = getattr(cut, "recording", None)
            if recording is None or [source.type for source in recording.sources] != ["file"]:
                left_out += 1
                continue
            data.wav[recording.id] = str(root.parent.absolute() / recording.sources[0].source)
            data.segments[cut.id] = Segment(recording.id, cut.start, cut.end)
            data.utt2dur[cut.id] = cut.duration
            _supervise(data, cut)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise UserError(f"{root}: not readable as a manifest of cuts ({type(error).__name__}: {error})") from error
    if left_out:
        LOG.warning("%s: %d cuts are left out: mixed, padded, or without a file of their own", root, left_out)
    return finish(data, root, "no cut with a recording that is a file")


def _supervise(data: DataDir, cut: Any) -> None:
    text = " ".join(" ".join((part.text or "").split()) for part in cut.supervisions).strip()
    if text:
        data.text[cut.id] = text
    speakers = {part.speaker for part in cut.supervisions if part.speaker}
    if len(speakers) == 1:
        data.utt2spk[cut.id] = speakers.pop()
