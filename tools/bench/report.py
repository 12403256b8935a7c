"""Report of a benchmark: a line about the machine, a table in Markdown, and the same figures as JSON."""

import shlex
import sys
from pathlib import Path
from typing import Any

from m2d.common import markdown
from m2d.common.files import write_json


def table(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    """Markdown of `rows`; `columns` maps a key to its format, such as `.1f`. A value that is None is a dash."""
    return markdown.table(list(columns), (["-" if row.get(key) is None else format(row[key], style)
                                           for key, style in columns.items()] for row in rows))


def leave(about: dict[str, Any], rows: list[dict[str, Any]], columns: dict[str, str], json: str | Path | None) -> None:
    """Write the JSON file, if requested; print machine and command, then the table."""
    about = {**about, "command": command()}
    if json:
        write_json(json, {**about, "columns": columns, "rows": rows})
    print("; ".join(f"{key} {value}" for key, value in about.items()))
    print(table(rows, columns), flush=True)


def command() -> str:
    """The command line, as one would type it."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    program = ["python", "-m", module.name] if module else ["python", sys.argv[0]]
    return shlex.join([*program, *sys.argv[1:]])
