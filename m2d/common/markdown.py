"""Tables in Markdown."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of text cells, one line per row; a `|` in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def plus_minus(mean: float | None, spread: float | None = None, digits: int = 1) -> str:
    """A score as `89.7 ± 0.2`, without a spread `89.7`, `-` for none."""
    if mean is None:
        return "-"
    return f"{mean:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


class Table(NamedTuple):
    """A table of a Markdown text, under its heading."""

    heading: str
    header: list[str]
    rows: list[list[str]]


def tables(text: str) -> list[Table]:
    """The tables of a Markdown text, their cells without escapes; rows of papers keep their `*`."""
    found: list[Table] = []
    heading, inside = "", False
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not inside:
            found.append(Table(heading, cells, []))
        elif any(cell.strip("-: ") for cell in cells):
            found[-1].rows.append(cells)
        inside = True
    return found


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Lines of at most `width` columns of text: what does not fit beside the first column follows in a block below."""
    header, *rows = [[cell.strip("*") for cell in row] for row in (header, *rows)]
    sizes = [max(map(_columns, column)) for column in zip(header, *rows, strict=True)]
    lines: list[str] = []
    begin = 1
    while begin < len(sizes) or not lines:
        end, used = begin + 1, sum(sizes[:1]) + sum(sizes[begin:begin + 1]) + 2
        while end < len(sizes) and used + sizes[end] + 2 <= width:
            used, end = used + sizes[end] + 2, end + 1
        picked = [0, *range(begin, min(end, len(sizes)))]
        lines += [""] if lines else []
        for row in (header, ["─" * size for size in sizes], *rows):
            blanks = {i: " " * (sizes[i] - _columns(row[i])) for i in picked}
            lines.append("  ".join(blanks[i] + row[i] if i else row[i] + blanks[i] for i in picked).rstrip())
        begin = end
    return lines


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
