"""The SUPERB score: how far a model is from log-mel features to the best known one, over tasks, times 1000.

SUPERB @ SLT 2022 (Feng et al. 2023, arXiv:2210.08634), "SUPERB_s".
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import NamedTuple

from omegaconf import OmegaConf

from m2d.common.errors import UserError
from m2d.superb.task import TASKS, ordered


class Reference(NamedTuple):
    """The two rows that make the scale, by column of the table: of score 0 and of score 1000."""

    zero: dict[str, float]
    thousand: dict[str, float]


def read_reference(path: Path) -> Reference:
    """The rows `zero` and `thousand` of a YAML file. Raises `UserError` for one without them."""
    rows = OmegaConf.to_container(OmegaConf.load(path)) if path.is_file() else None
    if not isinstance(rows, dict) or set(rows) != {"zero", "thousand"} or set(rows["zero"]) != set(rows["thousand"]):
        raise UserError(f"{path}: no file with rows 'zero' and 'thousand' of the same columns")
    return Reference(rows["zero"], rows["thousand"])


def superb_score(scores: dict[str, float], reference: Reference) -> tuple[float, list[str]] | None:
    """The score, and the tasks it goes over: those with all their columns in `scores` and the reference.

    Per task the mean of its measures counts. None where there is no such task.
    """
    parts, names = [], []
    for name in ordered(list(TASKS)):
        wanted = [measure.column for measure in TASKS.get(name).measures]
        if all(column in scores and column in reference.zero for column in wanted):
            parts.append(statistics.fmean(
                (scores[column] - reference.zero[column]) / (reference.thousand[column] - reference.zero[column])
                for column in wanted))
            names.append(name)
    return (1000 * statistics.fmean(parts), names) if parts else None
