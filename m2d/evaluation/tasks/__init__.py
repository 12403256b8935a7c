"""The thirteen tasks of the papers: nine for linear evaluation, four for fine-tuning, three of them in both."""

from __future__ import annotations

from m2d.common.config import nearest
from m2d.common.errors import UserError
from m2d.evaluation.tasks import (
    audioset,
    cremad,
    esc50,
    gtzan,
    nsynth,
    spcv2,
    surge,
    us8k,
    vc1,
    voxforge,
)
from m2d.evaluation.tasks.table import Clip, Task, TaskSpec

SPECS = {module.SPEC.name: module.SPEC
         for module in (esc50, us8k, spcv2, vc1, voxforge, cremad, gtzan, nsynth, surge, audioset)}
"""All tasks by name, in the order of the papers' tables; AS20K, which is fine-tuned only, at the end."""

LINEAR_TASKS = [name for name in SPECS if name != "as20k"]
FINETUNE_TASKS = ["as20k", "esc50", "spcv2", "vc1"]


def spec_of(name: str) -> TaskSpec:
    """The task of a name. Raises `UserError` naming the nearest one."""
    if name not in SPECS:
        raise UserError(f"unknown task '{name}'{nearest(name, list(SPECS))} (known: {', '.join(SPECS)})")
    return SPECS[name]


__all__ = ["FINETUNE_TASKS", "LINEAR_TASKS", "SPECS", "Clip", "Task", "TaskSpec", "spec_of"]
