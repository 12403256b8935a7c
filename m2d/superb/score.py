"""The SUPERB score: 0 for FBANK's results, 1000 for the best known ones, linear between, the mean over tasks.

The scale is the user's: `conf/superb/score.yaml`.
"""

import statistics
from pathlib import Path
from typing import NamedTuple

from omegaconf import OmegaConf

from m2d.common.config import nearest, read_yaml
from m2d.common.errors import UserError
from m2d.superb.task import TASKS, ordered


class Reference(NamedTuple):
    """The scores that make 0 and 1000, by column of the table."""

    zero: dict[str, float]
    thousand: dict[str, float]


def read_reference(path: Path) -> Reference:
    """The columns that are in both rows, `zero` and `thousand`, of a YAML file.

    Raises `UserError` for a file without these rows, an unknown column, and one whose two scores are equal.
    """
    rows = OmegaConf.to_container(read_yaml(path))
    known = [measure.column for name in ordered(list(TASKS)) for measure in TASKS.get(name).measures]
    if set(rows) != {"zero", "thousand"} or not all(isinstance(row, dict) for row in rows.values()):
        raise UserError(f"{path}: expected two rows, 'zero: {{pr: ...}}' and 'thousand: {{pr: ...}}'")
    for column, score in [*rows["zero"].items(), *rows["thousand"].items()]:
        if column not in known:
            raise UserError(f"{path}: unknown column '{column}'{nearest(str(column), known)}")
        if not isinstance(score, int | float) or rows["zero"].get(column) == rows["thousand"].get(column):
            raise UserError(f"{path}: column {column}: give two numbers that differ")
    zero, thousand = ({column: row[column] for column in rows["zero"] if column in rows["thousand"]}
                      for row in (rows["zero"], rows["thousand"]))
    return Reference(zero, thousand)


def superb_score(scores: dict[str, float], reference: Reference) -> tuple[float, list[str]] | None:
    """The score, and the titles of the tasks it covers: those with all their columns in `scores` and the reference.

    Per task the mean of its measures counts. None where there is no such task.
    """
    parts, titles = [], []
    for name in ordered(list(TASKS)):
        wanted = [measure.column for measure in TASKS.get(name).measures]
        if all(column in scores and column in reference.zero for column in wanted):
            parts.append(statistics.fmean(
                (scores[column] - reference.zero[column]) / (reference.thousand[column] - reference.zero[column])
                for column in wanted))
            titles.append(TASKS.get(name).title)
    return (1000 * statistics.fmean(parts), titles) if parts else None
