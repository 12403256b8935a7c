"""From an official download to a prepared task: read rows, check files, report missing ones."""

import logging
from collections import Counter
from pathlib import Path

from m2d.audio.wave import audio_files
from m2d.common.errors import UserError
from m2d.common.files import existing_folder
from m2d.data.corpora.published import Size, compared
from m2d.evaluation.clips import content_of, inspect
from m2d.evaluation.tables import read_table
from m2d.evaluation.task import Task, natural
from m2d.evaluation.tasks import Listing, TaskSpec

LOG = logging.getLogger(__name__)


def prepare(spec: TaskSpec, root: str | Path, lists: str | Path | None = None, table: str | Path | None = None,
            seed: int = 0) -> Task:
    """A task from its data set's folder `root`.

    `lists` is the place of the official lists if they are not in `root`; `table` a user's own split table, which
    replaces the official one; `seed` draws the split of tasks without an official one. Empty and damaged files are
    left out and listed.

    Raises `UserError` that names the data set, what is missing and the expected tree.
    """
    root = Path(root).absolute()
    lists = root if lists is None else Path(lists).absolute()
    try:
        existing_folder(root)
        listing = spec.read(root, lists, seed) if table is None else from_table(spec, root, Path(table))
        classes = spec.classes(lists) if spec.classes else []
        _check_missing(spec, root, listing)
        audio = inspect(root, [clip.file_name for clip in listing.clips], spec.title)
        unreadable = [file.fault for file in audio.values() if file.fault]
        for line in unreadable:
            LOG.warning("%s: left out: %s", spec.title, line)
        task = Task(
            spec.name, spec.title, spec.group, str(root), spec.seconds,
            f"split table {Path(table).name}" if table is not None else spec.split, classes, spec.multilabel,
            spec.official, content_of(audio), dict(Counter(clip.part for clip in listing.missing)),
            [clip.file_name for clip in listing.missing], unreadable,
            [clip for clip in listing.clips if not audio[clip.file_name].fault])
        _check_parts(task)
    except (UserError, ValueError) as error:
        said = str(error).removeprefix(f"{spec.title}: ")
        raise UserError(f"{spec.title}: {said}\nexpected tree of {spec.title}:\n{spec.tree}") from error
    task.classes = classes or sorted({label for clip in task.clips for label in task.labels(clip)}, key=natural)
    words, differs = compared(Size(len(task.clips)), Size(spec.official) if spec.official else None, "clips")
    LOG.log(logging.WARNING if differs else logging.INFO, "%s: %s", spec.title, words)
    LOG.info("%s: %s clips, %d classes, %d files missing, %d unreadable", spec.title,
             " / ".join(f"{part} {count}" for part, count in task.counts().items()), len(task.classes),
             len(listing.missing), len(unreadable))
    return task


def from_table(spec: TaskSpec, root: Path, path: Path) -> Listing:
    """A user's table with its files found below `root`, directly or in the data set's audio folders.

    A file with another extension (`.wav` in the table, `.ogg` on disk) is found too. Several labels may be joined by
    commas, as in AudioSet's own lists.
    """
    table = read_table(path)
    if not table.has_parts:
        raise ValueError(f"{path}: the columns of a split table are file_name,label and split or fold")
    there = {name.rpartition(".")[0]: name for name in audio_files(root)}
    clips, missing = [], []
    for row in table.clips:
        if spec.multilabel:
            row = row._replace(label=row.label.replace(",", ";"))
        stem = row.file_name.rpartition(".")[0]
        found = next((there[key] for base in ("", *spec.audio_dirs)
                      if (key := f"{base}/{stem}".lstrip("/")) in there), None)
        if found is None:
            missing.append(row)
        else:
            clips.append(row._replace(file_name=found))
    return Listing(clips, missing)


def _check_missing(spec: TaskSpec, root: Path, listing: Listing) -> None:
    if not listing.clips:
        raise ValueError(f"none of its audio files is in {root}")
    if listing.missing and not spec.incomplete:
        examples = ", ".join(clip.file_name for clip in listing.missing[:5])
        raise ValueError(f"{len(listing.missing)} of {len(listing.clips) + len(listing.missing)} listed files are "
                         f"missing in {root}: {examples}{' ...' if len(listing.missing) > 5 else ''} (complete the "
                         "copy, or give a split table that names only what is there)")


def _check_parts(task: Task) -> None:
    if not task.clips:
        raise ValueError(f"no readable clip in {task.root}")
    if task.has_folds and len(task.parts) < 2:
        raise ValueError("one fold only; cross-validation needs two or more")
    for part in () if task.has_folds else ("train", "test"):
        if part not in task.parts:
            raise ValueError(f"no readable clip in split '{part}' in {task.root}")
