"""From an official download to a prepared task: rows read, files checked, what is missing named."""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from m2d.audio.wave import AudioError, audio_duration, audio_files
from m2d.common.errors import UserError
from m2d.common.progress import progress
from m2d.evaluation.tasks.table import Clip, Listing, Task, TaskSpec, natural, read_table

LOG = logging.getLogger(__name__)

MAX_UNREADABLE = 0.1
"""Share of a task's files that may be empty or damaged; more means a broken copy, not a few known faults."""


def prepare(spec: TaskSpec, root: str | Path, lists: str | Path | None = None, table: str | Path | None = None,
            seed: int = 0) -> Task:
    """A task from its data set's folder `root`.

    `lists` is where the official lists are when they are not in `root`; `table` a user's own split table, which
    takes the place of the official one; `seed` draws the split of those tasks that have none. Empty and damaged
    files are left out and listed.

    Raises `UserError` that names the data set, what is missing and the expected tree.
    """
    root = Path(root).absolute()
    lists = root if lists is None else Path(lists).absolute()
    tree = f"\nexpected tree of {spec.title}:\n{spec.tree}"
    if not root.is_dir():
        raise UserError(f"{spec.title}: {root} is not a folder{tree}")
    try:
        listing = spec.read(root, lists, seed) if table is None else from_table(spec, root, Path(table))
        names = spec.classes(lists) if spec.classes else None
    except UserError as error:
        raise UserError(f"{spec.title}: {error}{tree}") from error
    _check_missing(spec, root, listing, tree)
    clips, unreadable = readable(root, listing.clips, spec.title)
    if len(unreadable) > MAX_UNREADABLE * len(listing.clips):
        raise UserError(f"{spec.title}: {len(unreadable)} of {len(listing.clips)} files in {root} are empty or "
                        f"damaged, for example: {unreadable[0]}")
    for line in unreadable:
        LOG.warning("%s: left out: %s", spec.title, line)
    if names is None:
        names = sorted({label for clip in clips for label in labels_of(clip, spec.multilabel)}, key=natural)
    task = Task(
        spec.name, spec.title, spec.group, str(root), spec.seconds,
        f"split table {Path(table).name}" if table is not None else spec.split, names, spec.multilabel, spec.official,
        dict(Counter(clip.part for clip in listing.missing)), [clip.file_name for clip in listing.missing],
        unreadable, clips)
    _check_parts(task, tree)
    LOG.info("%s: %s clips, %d classes, %d files missing, %d unreadable", spec.title,
             " / ".join(f"{part} {count}" for part, count in task.counts().items()), len(names),
             len(listing.missing), len(unreadable))
    return task


def labels_of(clip: Clip, multilabel: bool) -> list[str]:
    """A clip's labels: one, or those joined by commas."""
    return clip.label.split(",") if multilabel else [clip.label]


def from_table(spec: TaskSpec, root: Path, path: Path) -> Listing:
    """A user's table with its files found below `root`, directly or in the data set's audio folders.

    A file that is there under another extension (`.wav` in the table, `.ogg` on disk) is taken too.
    """
    rows = read_table(path)
    there = {name.rpartition(".")[0]: name for name in audio_files(root)}
    clips, missing = [], []
    for row in rows:
        stem = row.file_name.rpartition(".")[0]
        found = next((there[key] for base in ("", *spec.audio_dirs)
                      if (key := f"{base}/{stem}".lstrip("/")) in there), None)
        if found is None:
            missing.append(row)
        else:
            clips.append(row._replace(file_name=found))
    return Listing(clips, missing)


def readable(root: Path, clips: list[Clip], title: str) -> tuple[list[Clip], list[str]]:
    """The clips whose header can be read and holds samples, and one line for each that can't: which and why."""
    def fault(clip: Clip) -> str | None:
        try:
            audio_duration(root / clip.file_name)
        except AudioError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(8) as pool:  # waiting for a network disk, not computing
        faults = list(progress(pool.map(fault, clips), f"checking {title}", len(clips)))
    return ([clip for clip, reason in zip(clips, faults, strict=True) if reason is None],
            [reason for reason in faults if reason is not None])


def _check_missing(spec: TaskSpec, root: Path, listing: Listing, tree: str) -> None:
    if not listing.clips:
        raise UserError(f"{spec.title}: none of its audio files is in {root}{tree}")
    if listing.missing and not spec.incomplete:
        examples = ", ".join(clip.file_name for clip in listing.missing[:5])
        raise UserError(
            f"{spec.title}: {len(listing.missing)} of {len(listing.clips) + len(listing.missing)} listed files are "
            f"missing in {root}: {examples}{' ...' if len(listing.missing) > 5 else ''} "
            f"(complete the copy, or give a split table that names only what is there){tree}")


def _check_parts(task: Task, tree: str) -> None:
    parts = task.parts
    if task.has_folds:
        if len(parts) < 2:
            raise UserError(f"{task.title}: one fold only; cross-validation needs two or more")
    elif not {"train", "test"} <= set(parts):
        part = "test" if "train" in parts else "train"
        raise UserError(f"{task.title}: no readable clip in split '{part}' in {task.root}{tree}")

