"""IC: intent classification on Fluent Speech Commands (s3prl downstream fluent_commands)."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from m2d.common.files import existing_file
from m2d.superb.task import TASKS, Corpora, Measure, Task, folder

COLUMNS = ("path", "action", "object", "location")


def fluent(path: str) -> str:
    """Absolute root of Fluent Speech Commands, whose tables and first recordings are there."""
    root = folder(path, "fluent", "data/{train,valid,test}_data.csv and wavs/")
    for split in ("train", "valid", "test"):
        table = root / "data" / f"{split}_data.csv"
        existing_file(table)
        with open(table, newline="", encoding="utf-8") as stream:
            first = next(csv.DictReader(stream), None)
        if first is None or any(column not in first for column in COLUMNS):
            raise ValueError(f"{table}: expected rows with the columns {', '.join(COLUMNS)}")
        if not (root / first["path"]).is_file():
            raise ValueError(f"{table}: its first recording {root / first['path']} is missing")
    return str(root)


def prepare(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    """The corpus."""
    root = fluent(corpora.fluent)
    config["downstream_expert"]["datarc"]["file_path"] = root
    return [f"{root}/data", f"{root}/wavs"]


def recordings(config: dict[str, Any]) -> Iterator[tuple[str, list[Path]]]:
    """All rows of the tables."""
    root = Path(config["downstream_expert"]["datarc"]["file_path"])
    for part in ("train", "valid", "test"):
        with open(root / "data" / f"{part}_data.csv", newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                yield part, [root / row["path"]]


TASKS.register("ic")(Task("IC", "fluent_commands", (Measure("ic", "Acc", "test acc: (.+)"),), prepare,
                          recordings=recordings, published="fluent"))
