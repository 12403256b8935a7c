"""Tables of labelled clips: CSV with the columns `file_name,label`, and `split` or `fold`, `start`, `end`, `group`.

Several labels of a clip are joined by `;`. The same form serves a user's own data, a published split of one of the
papers' tasks, and the `table.csv` of a prepared task.
"""

import contextlib
import csv
import difflib
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from m2d.common.errors import UserError
from m2d.common.files import existing_file
from m2d.common.options import nearest

SPLITS = ("train", "valid", "test")
COLUMNS = ("file_name", "label", "split", "fold", "start", "end", "group")
FORM = "file_name,label[,split|fold][,start,end][,group]"


class Clip(NamedTuple):
    """One clip of a task: its path below the data's folder, its label, its split or fold (empty if still unknown).

    `start` and `end` are seconds in the file (`end` None: to its end). Clips of one `group`, for example a speaker or
    a device, stay together when a split is drawn.
    """

    file_name: str
    label: str
    part: str
    start: float = 0.0
    end: float | None = None
    group: str = ""


@dataclass
class Table:
    """The rows of a table in the file's order; `lines[i]` is the line number of `clips[i]`."""

    path: Path
    clips: list[Clip]
    lines: list[int]
    has_parts: bool

    def error(self, row: int, what: str) -> UserError:
        return UserError(f"{self.path}:{self.lines[row]}: {what}")


def read_table(path: str | Path) -> Table:
    """Rows of a table.

    Raises `UserError`, which names the line, for a file that is missing, not UTF-8 or not CSV, wrong columns, an empty
    cell, a split that is not train, valid or test, invalid times, a repeated row and a table without rows.
    """
    path = Path(path)
    records = _records(path)
    line, header = next(records, (1, []))
    table = Table(path, [], [], "split" in header or "fold" in header)
    seen: dict[tuple[str, float, float | None], int] = {}
    try:
        _check_header(header)
        for line, cells in records:
            if len(cells) != len(header):
                raise ValueError(f"has {len(cells)} cells, the first line names {len(header)} columns")
            clip = _clip(dict(zip(header, cells, strict=True)))
            earlier = seen.setdefault((clip.file_name, clip.start, clip.end), line)
            if earlier != line:
                raise ValueError(f"{clip.file_name} is in the table twice (line {earlier})")
            table.clips.append(clip)
            table.lines.append(line)
    except ValueError as error:
        raise UserError(f"{path}:{line}: {error}") from None
    if not table.clips:
        raise UserError(f"{path}: no rows in this table")
    return table


def table_text(clips: list[Clip]) -> str:
    """Clips with parts as CSV text, with the columns among `start,end,group` that are not empty."""
    extra = [index for index, name in ((3, "start"), (4, "end"), (5, "group"))
             if any(clip[index] != Clip._field_defaults[name] for clip in clips)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file_name", "label", "split" if clips[0].part in SPLITS else "fold",
                     *(Clip._fields[index] for index in extra)])
    writer.writerows([*clip[:3], *(clip[index] for index in extra)] for clip in clips)
    return text.getvalue()


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """First line and stripped cells of each record that is not blank."""
    existing_file(path, "table")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[:error.start].count(b"\n") + 1
        raise UserError(f"{path}:{line}: not UTF-8 text: save the table as CSV UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"{path}:{line}: not CSV ({error}): check the quotes of this row") from None
        if any(not character.isprintable() for cell in cells for character in cell):
            raise UserError(f"{path}:{line}: a cell holds a line break or another control character")
        if cells:
            yield line, cells


def _check_header(header: list[str]) -> None:
    where = f"the first line must name the columns {FORM}"
    for name in ("file_name", "label"):
        if name not in header:
            raise ValueError(f"{where}: '{name}' is missing{nearest(name, header)}")
    for name in header:
        close = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.75)
        if header.count(name) > 1:
            raise ValueError(f"{where}: '{name}' is there twice")
        if not name or (name not in COLUMNS and close):  # other columns are the user's own notes
            raise ValueError(f"{where}: unknown column '{name}'" + (f", did you mean '{close[0]}'?" if close else ""))
    if {"split", "fold"} <= set(header):
        raise ValueError(f"{where}: give split or fold, not both")


def _clip(row: dict[str, str]) -> Clip:
    """A clip from the cells of its row by column. Raises ValueError with the reason."""
    part = "fold" if "fold" in row else "split"
    for name in ("file_name", "label", part):
        if not row.get(name, "-"):
            raise ValueError(f"the cell of {name} is empty")
    if row.get("split", "train") not in SPLITS:
        raise ValueError(f"split '{row['split']}' is not one of {', '.join(SPLITS)}")
    if row.get("fold") in SPLITS:
        raise ValueError(f"fold '{row['fold']}' is the name of a split: call the column split")
    labels = [label.strip() for label in row["label"].split(";")]
    if not all(labels) or len(set(labels)) < len(labels):
        raise ValueError(f"label '{row['label']}' names an empty label, or one twice")
    start = _seconds("start", row.get("start") or "0")
    end = _seconds("end", row["end"]) if row.get("end") else None
    if end is not None and end <= start:
        raise ValueError(f"end {end:g} is not after start {start:g}")
    return Clip(row["file_name"], ";".join(labels), row.get(part, ""), start, end, row.get("group", ""))


def _seconds(name: str, text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < math.inf:
            return float(text)
    raise ValueError(f"{name} '{text}' is not a number of seconds from 0 on")
