"""AudioSet20K (Gemmeke et al., 2017): 527 classes, several per clip; balanced segments to train, eval to test.

Clips vanish from YouTube, so no copy is complete: the available ones are used, and every result has the counts.
"""

from pathlib import Path

from m2d.data.corpora.audioset import read_classes, read_segments, video_of
from m2d.data.corpora.audioset_packs import clips_below
from m2d.evaluation.tables import Clip
from m2d.evaluation.tasks import Listing, need, task

_LISTS = {"train": "balanced_train_segments.csv", "test": "eval_segments.csv"}


def _classes(lists: Path) -> list[str]:
    """All classes in the official order, as MIDs: a class without a clip keeps its place."""
    return list(read_classes(need(lists / "class_labels_indices.csv", "the official list of classes")))


@task(
    "as20k", title="AS20K", group="env", seconds=10.0, official=22160 + 20371, classes=_classes,
    multilabel=True, incomplete=True, split="official balanced train and eval segments",
    tree="AudioSet/\n  balanced_train_segments.csv eval_segments.csv class_labels_indices.csv\n"
         "  any folders with the clips, named YTID.wav, YYTID.wav or YTID_START.wav (flac, opus, mp3 ... too),\n"
         "  or with tar, parquet or HDF5 packs of them")
def _read(root: Path, lists: Path, seed: int) -> Listing:
    segments = {part: read_segments(need(lists / name, "the official segment list")) for part, name in _LISTS.items()}
    wanted = {clip.video for clips in segments.values() for clip in clips}
    files: dict[str, str] = {}
    for stem, source in clips_below(root):
        video = video_of(stem, wanted)
        if video is not None:
            files.setdefault(video, source.removeprefix(f"{root}/"))
    listing = Listing([], [])
    for part, clips in segments.items():
        for clip in clips:
            row = Clip(files.get(clip.video, clip.video), ";".join(clip.labels), part)
            (listing.clips if clip.video in files else listing.missing).append(row)
    return listing
