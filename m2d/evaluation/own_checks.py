"""Checks and report of a user's own task: classes, leaks between parts, hours and counts."""

import math
from collections import defaultdict

import numpy as np

from m2d.common import markdown
from m2d.common.errors import UserError
from m2d.common.progress import duration
from m2d.evaluation.clips import Audio
from m2d.evaluation.tables import Clip, Table
from m2d.evaluation.task import Task


def check(source: Table, task: Task, audio: dict[str, Audio]) -> list[str]:
    """Warnings about a task whose clips are the rows of `source`, with their parts.

    Raises `UserError` for fewer than two classes, a class of one clip, parts that can't be trained and tested, and the
    same audio in two parts. In a multi-label task rare classes are only a warning.
    """
    warnings = [f"{len(task.unreadable)} files can't be read and are left out, for example: {task.unreadable[0]}"] \
        if task.unreadable else []
    warnings += _check_classes(source, task) + _check_parts(task)
    return warnings + _leaks(source, task, audio)


def overview(task: Task, lengths: np.ndarray, warnings: list[str]) -> str:
    """Contents of a task in Markdown: clips and minutes per class and part, lengths of the clips, warnings.

    Args:
        task: the task.
        lengths: seconds of each clip.
        warnings: of `check`.
    """
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0])
    for clip, seconds in zip(task.clips, lengths, strict=True):
        for label in (*task.labels(clip), "all"):
            for part in (clip.part, "all"):
                sums[label, part][0] += 1
                sums[label, part][1] += seconds
    columns = [*task.parts, "all"]
    rows = [[label, *(f"{sums[label, part][0]} ({sums[label, part][1] / 60:.1f})" for part in columns)]
            for label in [*task.classes, "all"]]
    low, middle, high = np.percentile(lengths, [0, 50, 100])
    cut = np.mean(lengths > task.seconds + 0.05)
    lines = [f"# {task.title}", "",
             f"{len(task.clips)} clips, {duration(lengths.sum())} of audio, {len(task.classes)} classes"
             f"{', several per clip' if task.multilabel else ''}. Split: {task.split}.",
             f"Clips last {low:.2f} to {high:.2f} s (median {middle:.2f}); they are cut or padded to "
             f"{task.seconds:g} s, by which {100 * cut:.0f}% lose their end (seconds=, or rows with start and end).",
             "", "Clips (minutes) per class and part:", "",
             markdown.table(["class", *columns], rows)]
    if warnings:
        lines += ["", "Look at:", "", *(f"- {line}" for line in warnings)]
    return "\n".join(lines) + "\n"


def _check_classes(source: Table, task: Task) -> list[str]:
    if len(task.classes) < 2:
        raise UserError(f"{source.path}: all clips are of class '{task.classes[0]}': there is nothing to tell apart")
    rows: dict[str, list[int]] = defaultdict(list)
    for row, clip in enumerate(task.clips):
        for label in task.labels(clip):
            rows[label].append(row)
    single = [label for label, members in rows.items() if len(members) == 1]
    if single and not task.multilabel:
        raise source.error(rows[single[0]][0], f"the only clip of class '{single[0]}': a class can't be trained and "
                                               "tested by one clip; add clips, or remove or merge the class")
    return [f"classes of one clip: {_few(single)}"] if single else []


def _check_parts(task: Task) -> list[str]:
    if task.has_folds:
        if len(task.parts) < 2:
            raise UserError(f"{task.title}: one fold only; cross-validation needs two or more")
        return []
    labels = {part: {label for clip in task.clips if clip.part == part for label in task.labels(clip)}
              for part in task.parts}
    for part in ("train", "test"):
        if part not in labels:
            raise UserError(f"{task.title}: no clip is left for split '{part}': mark some in the table, or give clips "
                            "of more groups")
    unlearnt = sorted(labels["test"] - labels["train"])
    if unlearnt and not task.multilabel:
        raise UserError(f"{task.title}: class '{unlearnt[0]}' is tested and not trained: every class needs clips (and "
                        "groups) in train")
    return [f"no clip of {_few(absent)} in {part}" for part in task.parts
            if (absent := sorted(set(task.classes) - labels[part]))]


def _leaks(source: Table, task: Task, audio: dict[str, Audio]) -> list[str]:
    """Warnings for shared recordings and groups. Raises `UserError` for the same audio in two parts."""
    recordings: dict[str, list[int]] = defaultdict(list)
    groups: dict[str, set[str]] = defaultdict(set)
    for row, clip in enumerate(task.clips):
        recordings[audio[clip.file_name].digest].append(row)
        if clip.group:
            groups[clip.group].add(clip.part)
    cut = contrary = 0
    for rows in recordings.values():
        cut += len({task.clips[row].part for row in rows}) > 1
        rows.sort(key=lambda row: task.clips[row].start)
        latest = rows[0]  # the earlier clip that ends last: what overlaps any earlier one overlaps it
        for row in rows[1:]:
            first, second = task.clips[latest], task.clips[row]
            if second.start < _end(first):
                if first.part != second.part:
                    raise source.error(row, f"{second.file_name} ({second.part}) holds the same audio as "
                                            f"{first.file_name} ({first.part}, line {source.lines[latest]}): scores "
                                            "would be too good; put both in one part, or remove one")
                contrary += first.label != second.label
            if _end(second) >= _end(first):
                latest = row
    torn = sorted(group for group, parts in groups.items() if len(parts) > 1)
    return [text for count, text in (
        (cut, f"{cut} recordings are cut into clips of different parts"),
        (contrary, f"{contrary} clips hold the same audio as another and have another label"),
        (torn, f"groups in several parts: {_few(torn)}")) if count]


def _end(clip: Clip) -> float:
    return math.inf if clip.end is None else clip.end


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
