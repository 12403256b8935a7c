"""The plan of a set: its files and its tables, before any sound is made."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field

from mini_corpus.items import Item


@dataclass
class SetPlan:
    """Contents of one set. Paths are relative to the corpus; each begins with a folder of this set only."""

    items: list[Item] = field(default_factory=list)
    tables: dict[str, str] = field(default_factory=dict)  # path -> content

    @property
    def folders(self) -> list[str]:
        """The top folders the set fills, sorted."""
        paths = [item.path for item in self.items] + list(self.tables)
        return sorted({path.partition("/")[0] for path in paths})


def scaled(count: int, scale: float, least: int = 1) -> int:
    """A count for scale 1, scaled, but at least `least`."""
    return max(least, round(count * scale))


def csv_text(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A comma-separated table with its header line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def lines_text(lines: Iterable[str]) -> str:
    """Lines, each with its newline."""
    return "".join(f"{line}\n" for line in lines)
