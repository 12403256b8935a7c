"""AudioSet as it is usually available: the remaining official clips, named by YouTube id, and the official lists."""

import csv
import logging
import re
from pathlib import Path
from typing import NamedTuple

from m2d.common.errors import UserError
from m2d.common.files import existing_file
from m2d.data.corpora import CORPORA, check_parts
from m2d.data.corpora.audioset_packs import clips_below
from m2d.data.datadir import DataDir

LOG = logging.getLogger(__name__)

PARTS = ("balanced_train", "unbalanced_train", "eval")

TREE = ("expected {balanced_train,unbalanced_train,eval}_segments.csv (research.google.com/audioset) in the folder or "
        "in metadata=DIR, and anywhere below the folder audio files named YTID, YYTID or either with _START after it, "
        "or tar, parquet or HDF5 packs of them")
NO_LIST = f"list; {TREE}. For audio without these lists use corpus=folder"


class Clip(NamedTuple):
    """A line of a segment list: YouTube id, start and end in the video in seconds, MIDs of its labels."""

    video: str
    start: float
    end: float
    labels: list[str]


@CORPORA.register("audioset")
def read_audioset(root: str | Path, parts: list[str], metadata: str | Path | None = None) -> DataDir:
    """The available clips of the selected parts, with their labels; ids are `Y` and the YouTube id.

    Of several copies of a clip (in the folders of its classes, in two formats) the first is used. `labels` holds MIDs
    joined by commas; `classes` their position and name, if `class_labels_indices.csv` is there. The number of official
    clips that were found is logged for each part. Raises `UserError` for a missing list, or if no clip is found.
    """
    root, lists = Path(root), Path(metadata or root)
    check_parts("AudioSet", parts, PARTS)
    clips = {part: read_segments(existing_file(lists / f"{part}_segments.csv", NO_LIST)) for part in parts}
    wanted = {clip.video for part in parts for clip in clips[part]}
    found, other, again = {}, 0, 0
    for stem, source in clips_below(root):
        video = video_of(stem, wanted)
        other += video is None
        again += video in found
        if video is not None:
            found.setdefault(video, source)
    data = DataDir({})
    for part in parts:
        there = [clip for clip in clips[part] if clip.video in found]
        LOG.info("AudioSet %s: %d of %d official clips are there", part, len(there), len(clips[part]))
        data.wav.update((f"Y{clip.video}", found[clip.video]) for clip in there)
        data.labels.update((f"Y{clip.video}", ",".join(clip.labels)) for clip in there)
    if not data.wav:
        count = sum(map(len, clips.values()))
        raise UserError(f"{root}: none of the {count} clips of {', '.join(parts)} is there; {TREE}")
    if other or again:
        LOG.info("%s: %d files belong to none of %s, %d are clips that were found before", root, other,
                 ", ".join(parts), again)
    names = lists / "class_labels_indices.csv"
    if names.is_file():
        data.classes = {mid: f"{i} {name}" for i, (mid, name) in enumerate(read_classes(names).items())}
    return data


def read_segments(path: str | Path) -> list[Clip]:
    """Clips of an official segment list (three comment lines, then `YTID, start, end, "MID,MID"`)."""
    clips = []
    with open(path, encoding="utf-8", newline="") as stream:
        for number, row in enumerate(csv.reader(stream, skipinitialspace=True), 1):
            if not row or row[0].startswith("#"):
                continue
            try:
                video, start, end, labels = row
                clips.append(Clip(video, float(start), float(end), labels.split(",")))
            except ValueError as error:
                raise UserError(f"{path}: line {number} is no 'YTID, start, end, \"labels\"': download it "
                                "again") from error
    if not clips:
        raise UserError(f"{path}: no clips in it: download it again")
    return clips


def read_classes(path: str | Path) -> dict[str, str]:
    """MID to display name, in the order of the class index, from `class_labels_indices.csv`."""
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    try:
        if [int(row["index"]) for row in rows] != list(range(len(rows))):
            raise ValueError
        return {row["mid"]: row["display_name"] for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: expected the columns index,mid,display_name, counted from 0") from error


def video_of(stem: str, known: set[str]) -> str | None:
    """The YouTube id of 11 characters in a file name: bare or after a `Y`, perhaps with times; None if unknown."""
    for pattern in (r"(.{11})", r"Y(.{11})", r"(.{11})[_. -][\d_.-]+", r"Y(.{11})[_. -][\d_.-]+"):
        match = re.fullmatch(pattern, stem)
        if match and match[1] in known:
            return match[1]
    return None
