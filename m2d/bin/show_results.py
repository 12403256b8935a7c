"""Print the tables of models of a Markdown file for a terminal, then what to do next."""

import dataclasses
import shutil
import sys
from pathlib import Path

from omegaconf import MISSING

from m2d.common.cli import run
from m2d.common.config import option
from m2d.common.files import existing_file
from m2d.common.markdown import aligned, tables
from m2d.common.progress import redraws


@dataclasses.dataclass
class ShowConfig:
    file: str = option(MISSING, "the Markdown file: SUPERB.md, RESULTS.md, GENERAL.md")
    next: list[str] = option(factory=list, help="commands to name at the end, 'WHAT: COMMAND'")
    report: str = option("", "the HTML report to name at the end")


def main(config: ShowConfig) -> None:
    """Tables whose first column is the model; those of settings and data stay in the file."""
    path = Path(config.file)
    existing_file(path)
    width = shutil.get_terminal_size((100, 24)).columns
    bold, plain = ("\033[1m", "\033[0m") if redraws(sys.stdout) else ("", "")
    for table in tables(path.read_text(encoding="utf-8")):
        if table.header[0].lower() == "model":
            print("", f"{bold}{table.heading}{plain}", *aligned(table.header, table.rows, width), sep="\n")
    print(f"\nThe same with settings and commands: {path}")
    if config.report:
        print(f"Report, to open in a browser: {Path(config.report).resolve()}")
    if config.next:
        print("\nNext:")
    for line in config.next:
        what, _, command = line.partition(": ")
        print(f"  {what}\n    {bold}{command}{plain}")


if __name__ == "__main__":
    run(ShowConfig, main, __doc__ or "", positional=("file",))
