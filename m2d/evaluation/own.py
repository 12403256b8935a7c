"""A user's own task: from a table, or a folder with one folder per class, to a prepared and checked task."""

import logging
import math
import os
import re
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from m2d.audio.wave import audio_files
from m2d.common.errors import UserError
from m2d.common.files import existing_folder
from m2d.data.datadir import DataDir, Segment
from m2d.evaluation.clips import Audio, content_of, inspect
from m2d.evaluation.own_checks import check, overview
from m2d.evaluation.splits import grouped_split
from m2d.evaluation.tables import SPLITS, Clip, Table, read_table
from m2d.evaluation.task import Task, natural
from m2d.evaluation.tasks import TASKS

LOG = logging.getLogger(__name__)
PERCENTILE, MAX_SECONDS = 95, 10.0
"""By default clips are cut or padded to this percentile of their lengths, at most to this many seconds."""
END_TOLERANCE_S = 0.1  # times in tables are rounded


def own_task(root: str | Path | None, table: str | Path | None = None, name: str | None = None,
             seconds: float | None = None, seed: int = 0) -> tuple[Task, str]:
    """A prepared task, and the report of its contents in Markdown.

    Args:
        root: folder of the audio files; None: that of the table. Without a table it holds a folder per class, or
            `train`, `valid` and `test` with a folder per class each.
        table: see `m2d.evaluation.tables`. Without a split in it, one is drawn.
        name: of the task, in paths and tables; None: that of the table or folder.
        seconds: length to which clips are cut or padded; None: chosen by their lengths.
        seed: of the split.

    Raises `UserError` that names the file or row and what is wrong with it.
    """
    if root is None and table is None:
        raise UserError("task=table: give table=FILE.csv, or root=FOLDER with a folder per class")
    root = Path(root if root is not None else Path(table).parent).absolute()
    existing_folder(root, "folder of audio files")
    name = name or (Path(table).stem if table is not None else root.name)
    if not re.fullmatch(r"[\w.-]+", name) or name in TASKS:
        raise UserError(f"name={name}: give the task a name of letters, digits, '_', '-' and '.' that is not one of "
                        f"{', '.join(TASKS)}")
    source = read_table(table) if table is not None else class_folders(root)
    audio = _readable(source, root, name)
    lengths = _lengths(source, audio)
    multilabel = any(";" in clip.label for clip in source.clips)
    suggested = min(MAX_SECONDS, math.ceil(10 * np.percentile(lengths, PERCENTILE) - 1e-6) / 10)
    task = Task(name, name, "own", str(root), seconds or suggested, "given", [], multilabel,
                content=content_of(audio), unreadable=[file.fault for file in audio.values() if file.fault],
                clips=source.clips)
    task.classes = sorted({label for clip in task.clips for label in task.labels(clip)}, key=natural)
    if not source.has_parts:
        parts = grouped_split(task.targets(), _groups(task.clips, audio), seed)
        task.clips[:] = [clip._replace(part=part) for clip, part in zip(task.clips, parts, strict=True)]
        together = " and group" if any(clip.group for clip in task.clips) else ""
        task.split = f"7:1:2, stratified by class, no content{together} in two parts, seed {seed}"
    warnings = check(source, task, audio)
    for line in warnings:
        LOG.warning("%s: %s", name, line)
    return task, overview(task, lengths, warnings)


def training_audio(task: Task) -> DataDir:
    """The clips that are not tested (with folds: all) as a data directory, for further pre-training.

    Ids are the files' paths with dashes for slashes, and the clip's number where a row names a part of a file.
    """
    data = DataDir({})
    for number, clip in enumerate(task.clips):
        if clip.part == "test":
            continue
        name = re.sub(r"\s+", "_", clip.file_name.strip("./")).replace("/", "-")
        data.wav[name] = str(task.path(clip).absolute())
        is_whole = clip.start == 0 and clip.end is None
        data.segments[name if is_whole else f"{name}-{number}"] = Segment(
            name, clip.start, -1 if clip.end is None else clip.end)
    return data


def class_folders(root: Path) -> Table:
    """The rows of folders per class, numbered in order. `UserError` without audio, or for a file outside of them."""
    names = audio_files(root)
    if not names:
        raise UserError(f"{root}: no audio in it")
    has_parts = {name.split("/")[0] for name in names} <= set(SPLITS)
    depth = 1 + has_parts
    for name in names:
        if name.count("/") < depth:
            raise UserError(f"{root / name}: lies outside of the class folders; expected "
                            f"{'SPLIT/' if has_parts else ''}CLASS/FILE, or give a table")
    clips = [Clip(name, name.split("/")[depth - 1], name.split("/")[0] if has_parts else "") for name in names]
    return Table(root, clips, list(range(1, len(clips) + 1)), has_parts)


def _readable(source: Table, root: Path, name: str) -> dict[str, Audio]:
    """Check of the files; rows of unreadable ones are removed from `source`. Missing files are an error."""
    missing = [row for row, clip in enumerate(source.clips) if not os.path.isfile(root / clip.file_name)]
    if missing:
        raise source.error(missing[0], f"there is no file {root / source.clips[missing[0]].file_name} "
                                       f"({len(missing)} of {len(source.clips)} rows name a missing file)")
    audio = inspect(root, [clip.file_name for clip in source.clips], name)
    keep = [row for row, clip in enumerate(source.clips) if not audio[clip.file_name].fault]
    for row in sorted(set(range(len(source.clips))) - set(keep)):
        LOG.warning("%s", source.error(row, f"left out: {audio[source.clips[row].file_name].fault}"))
    source.clips, source.lines = [source.clips[row] for row in keep], [source.lines[row] for row in keep]
    return audio


def _lengths(source: Table, audio: dict[str, Audio]) -> np.ndarray:
    """Seconds of each clip. Raises `UserError` for times beyond the end of a file."""
    lengths = []
    for row, clip in enumerate(source.clips):
        total = audio[clip.file_name].seconds
        if clip.start >= total or (clip.end or 0.0) > total + END_TOLERANCE_S:
            raise source.error(row, f"start {clip.start:g}" + ("" if clip.end is None else f" and end {clip.end:g}") +
                               f" do not lie in the {total:.2f} s of {clip.file_name}")
        lengths.append(min(total, clip.end or total) - clip.start)
    return np.array(lengths)


def _groups(clips: list[Clip], audio: dict[str, Audio]) -> list[int]:
    """A group number for each clip, equal for clips that share a group or the content of their files."""
    names: dict[tuple[str, str], int] = {}
    pairs = [(names.setdefault(("content", audio[clip.file_name].digest), len(names)),
              names.setdefault(("group", clip.group or f"\n{row}"), len(names))) for row, clip in enumerate(clips)]
    content, group = np.array(pairs).T
    graph = coo_array((np.ones(len(pairs)), (content, group)), shape=(len(names),) * 2)
    _, number = connected_components(graph, directed=False)
    return np.unique(number[content], return_inverse=True)[1].tolist()
