#!/usr/bin/env python3
"""Write the pages and pictures of docs/ that follow from the source: drawings, options, compatibility, transcripts.

usage: generate.py            write them
       generate.py --check    name those under version control that no longer follow from their source; exit code 1
                              where there are any
"""

import contextlib
import io
import json
import re
import runpy
import sys
from pathlib import Path

import drawings

from m2d.__main__ import COMMANDS
from m2d.common import markdown

HERE = Path(__file__).parent
PAGES = HERE / "pages"
MADE = "<!-- Written by docs/generate.py: do not edit. -->\n"


def options_page() -> str:
    """Every command's help, by purpose."""
    parts = [f"{MADE}# Options of all commands\n\n`m2d NAME` is the same as `python -m m2d.bin.NAME`. "
             "`--config FILE.yaml` gives options in a file; `key=value` words override it; "
             "`key+=value` makes a list longer."]
    for title, group in COMMANDS.items():
        parts.append(f"## {title[0].upper()}{title[1:]}")
        parts += [f"### m2d {name}\n\n```text\n{help_of(name)}\n```" for name in group]
    return "\n\n".join(parts) + "\n"


def help_of(name: str) -> str:
    """What `m2d NAME --help` prints."""
    printed, argv = io.StringIO(), sys.argv
    sys.argv = [f"m2d {name}", "--help"]
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            runpy.run_module(f"m2d.bin.{name}", run_name="__main__", alter_sys=True)
    finally:
        sys.argv = argv
    return printed.getvalue().strip()


def compatibility_page() -> str:
    """The table that tools/compatibility.py measured."""
    found = json.loads((HERE / "compatibility.json").read_text(encoding="utf-8"))
    columns = ("date", "python", "torch", "torchaudio", "transformers", "result")
    rows = [[run[column] for column in columns] for run in found["runs"]]
    return (f"{MADE}# Compatibility\n\nMeasured by `tools/compatibility.py`, each line in a fresh environment with the "
            f"newest versions that go together: {found['what']}.\n\n"
            f"{markdown.table(columns, rows)}\n\n"
            "The recipes' own environment is the lock `tools/requirements.txt`: torch 2.8.0 is the last version with "
            "which everything that s3prl 0.4.18 calls works unaided.\n")


def with_source(path: Path) -> str:
    """A page with what `<!-- transcript: NAME -->` (of docs/transcripts) and `<!-- rows: FILE -->` (a table) name."""

    def block(found: re.Match[str]) -> str:
        text = (HERE / "transcripts" / found[1]).read_text(encoding="utf-8").rstrip()
        return f"<!-- transcript: {found[1]} -->\n```text\n{text}\n```"

    def rows(found: re.Match[str]) -> str:
        table = next(table for table in markdown.tables((HERE.parent / found[1]).read_text(encoding="utf-8"))
                     if table.header[0].lower() == "model")
        ours = [row for row in table.rows if not row[0].startswith("*")]
        return f"<!-- rows: {found[1]} -->\n\n{markdown.table(table.header, ours)}\n\n"

    text = path.read_text(encoding="utf-8")
    text = re.sub(r"<!-- transcript: (\S+) -->\n```text\n(?:(?!```).*\n)*```", block, text)
    return re.sub(r"<!-- rows: (\S+) -->\n\n(?:\|.*?\n\n)?", rows, text, flags=re.S)


def pages() -> dict[Path, str]:
    """The generated files under version control with their text."""
    made = {PAGES / "images/m2d.svg": drawings.m2d(), PAGES / "images/m2ds.svg": drawings.m2ds(),
            PAGES / "compatibility.md": compatibility_page()}
    for path in (HERE.parent / "README.md", *sorted(PAGES.glob("*.md"))):
        if path not in made and "<!-- transcript: " in path.read_text(encoding="utf-8"):
            made[path] = with_source(path)
    return made


def main(words: list[str]) -> int:
    """Write or check; the exit code."""
    check, made = words == ["--check"], pages()
    if not check:
        made[PAGES / "reference/options.md"] = options_page()
    stale = {path: text for path, text in made.items()
             if not path.is_file() or path.read_text(encoding="utf-8") != text}
    for path, text in stale.items():
        if not check:
            path.write_text(text, encoding="utf-8")
        print(path.relative_to(HERE.parent))
    return int(bool(stale) and check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
