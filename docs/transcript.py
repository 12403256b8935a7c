#!/usr/bin/env python3
"""What a terminal shows at the end of `script -qc utils/quickstart.sh FILE`: transcript.py FILE LAST_LINES.

Writes docs/transcripts/quickstart.txt, and its last lines to quickstart_end.txt; then `make -C docs generate`.
Lines that were drawn over (bars) are gone, as on the terminal. Left out: what comes before the recipe's first line, and
Python's warnings of other packages. The checkout's folder is called ~/m2d.
"""

import re
import sys
from pathlib import Path

OUT = Path(__file__).parent / "transcripts"


def shown(recording: str) -> list[str]:
    """The lines of a recording as they stand at its end."""
    lines = []
    for raw in recording.replace("\r\n", "\n").split("\n"):
        line = raw.rpartition("\033[K")[2].rpartition("\r")[2]
        lines.append(re.sub(r"\033\[[\d;]*m", "", line).rstrip())
    return lines


def main(path: str, last: int) -> None:
    """Read the recording, write the two files."""
    lines = shown(Path(path).read_bytes().decode("utf-8", errors="replace"))
    begin = next(i for i, line in enumerate(lines) if re.search(r"\((run|stages|log)\.sh:\d+\)", line))
    end = max(i for i, line in enumerate(lines) if line.startswith("    "))  # the last of the next commands
    lines = [line for above, line in zip(lines[begin - 1:end], lines[begin:end + 1], strict=True)
             if "Warning: " not in above + line]
    root = re.search(r"(/\S+)/egs/\S+/exp/report\.html", "\n".join(lines))
    lines = [line.replace(root[1], "~/m2d") if root else line for line in lines]
    OUT.mkdir(exist_ok=True)
    (OUT / "quickstart.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (OUT / "quickstart_end.txt").write_text("\n".join(lines[-last:]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
