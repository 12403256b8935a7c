#!/usr/bin/env python3
"""How long the rest of run.sh may take, from the recorded first run in docs/transcripts.

usage: remaining.py begin STOP_STAGE TITLE                  of TITLE and what follows
       remaining.py end STOP_STAGE TITLE SECONDS...         of what follows the last TITLE; the SECONDS that stages took
                                                            here tell how fast this machine is

A recorded run knows its own settings alone. Uses the standard library only.
"""

import re
import sys
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, with or without an environment

from m2d.common.progress import duration

TRANSCRIPTS = Path(__file__).resolve().parents[1] / "docs/transcripts"
DONE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) \(\S+\) (stage (-?\d+): .*): done in (\d+) s\b")
SHORT_S = 10
"""Stages that took less say nothing of the machine's speed, and a shorter rest is not worth a word."""


class Stage(NamedTuple):
    ended: datetime
    number: int
    seconds: int


def recorded(folder: Path, title: str) -> dict[str, Stage]:
    """The stages, by title, of the recorded run that had the stage `title`; empty if none had."""
    for path in sorted(folder.glob("*.txt")):
        found = {line[2]: Stage(datetime.fromisoformat(line[1]), int(line[3]), int(line[4]))
                 for line in map(DONE.match, path.read_text(encoding="utf-8").splitlines()) if line}
        if title in found:
            return found
    return {}


def remaining(stages: dict[str, Stage], stop: int, title: str, took: dict[str, int]) -> float:
    """Seconds from the end of `title` to that of the last stage up to `stop`, at the pace of the stages that `took`."""
    last = max((stage.ended for stage in stages.values() if stage.number <= stop), default=stages[title].ended)
    known = [(took[name], stage.seconds) for name, stage in stages.items() if name in took and stage.seconds >= SHORT_S]
    pace = sum(here for here, _ in known) / sum(there for _, there in known) if known else 1.0
    return pace * (last - stages[title].ended).total_seconds()


def main(verb: str, stop: str, *words: str) -> None:
    """Print what run.sh adds to its lines."""
    title = words[0] if verb == "begin" else words[-2]
    stages = recorded(TRANSCRIPTS, title)
    if verb == "begin":
        if stages:
            seconds = stages[title].seconds + remaining(stages, int(stop), title, {})
            print(f"    all stages from here on took {duration(seconds)} where docs/transcripts was recorded")
        else:
            print("    how long all stages take is not known: no run of these settings was recorded")
    elif stages:
        took = dict(zip(words[::2], map(int, words[1::2]), strict=True))
        if (seconds := remaining(stages, int(stop), title, took)) >= SHORT_S:
            print(f"; the rest: about {duration(seconds)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
