"""Evaluation tasks, one module each. A new one is a new module with a reader of its download under `@task(...)`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from m2d.common.registry import Registry
from m2d.evaluation.tables import Clip


class Listing(NamedTuple):
    """A data set's official lists: the clips that exist and the listed files that do not."""

    clips: list[Clip]
    missing: list[Clip]


@dataclass(frozen=True)
class TaskSpec:
    """Static description of a task. `read(root, lists, seed)` turns the official download into rows.

    `title` names it in tables; `group` is `env`, `speech`, `music` or a group of its own; `seconds` is the length to
    which clips are cut or padded, the data set's average in the papers; `official` the number of clips of the full data
    set; `tree` shows the expected files, `audio_dirs` are those of them where a user's split table is looked up;
    `classes(lists)` gives an official order of classes; `incomplete` says that missing clips are normal and counted.
    """

    name: str
    title: str
    group: str
    seconds: float
    official: int | None
    tree: str
    read: Callable[[Path, Path, int], Listing]
    split: str
    audio_dirs: tuple[str, ...] = ("",)
    multilabel: bool = False
    incomplete: bool = False
    classes: Callable[[Path], list[str]] | None = None


TASKS: Registry[TaskSpec] = Registry("task", __name__)
"""All tasks by name."""


def task(name: str, **facts: Any) -> Callable[[Callable], Callable]:
    """Decorator for the reader of a task's download; `facts` are the other fields of its `TaskSpec`."""
    def enter(read: Callable[[Path, Path, int], Listing]) -> Callable[[Path, Path, int], Listing]:
        TASKS.register(name)(TaskSpec(name=name, read=read, **facts))
        return read
    return enter
