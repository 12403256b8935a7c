"""Every recording of a SUPERB task, before days of work lead to the one that s3prl does not find."""

import logging
import os
from collections import Counter
from typing import Any

from m2d.common.errors import UserError
from m2d.common.threads import in_threads
from m2d.data.corpora.published import Size, compared, published
from m2d.superb.task import Task

LOG = logging.getLogger(__name__)
SHOWN = 3


def check_recordings(task: Task, config: dict[str, Any]) -> None:
    """Look for the recordings of prepared settings, and say how many each part has, beside the published number.

    Raises `UserError` that counts those that are missing and names the first.
    """
    if task.recordings is None:
        return
    there: Counter[str] = Counter()
    missing: list[str] = []
    listed = list(task.recordings(config))
    for (part, places), found in zip(listed, in_threads(_is_there, (places for _, places in listed)), strict=True):
        there[part] += 1
        if not found:
            missing.append(" or ".join(map(str, places)))
    for part, count in there.items():
        words, differs = compared(Size(count), published(task.published, [part]))
        LOG.log(logging.WARNING if differs else logging.INFO, "SUPERB %s, %s: %s", task.title, part, words)
    if missing:
        raise UserError(f"SUPERB {task.title}: {len(missing)} of {len(listed)} recordings are missing: "
                        f"{', '.join(missing[:SHOWN])}{' ...' if len(missing) > SHOWN else ''}: complete the corpus "
                        "or leave the task out (--tasks)")


def _is_there(places: list[os.PathLike[str]]) -> bool:
    return any(map(os.path.isfile, places))
