#!/usr/bin/env python3
"""Show the progress of a launcher's tasks, read from their logs, until ended by TERM.

usage: watch.py PARENT LOG [FIRST LAST]    PARENT is the launcher's process number; FIRST to LAST take the place of JOB

On a terminal all tasks share one bar; elsewhere a plain line is written now and then, later more seldom. A task's
progress is the last line of its log with a count: `WHAT: 12/300, 3.1/s, ETA 5s` (m2d.common.progress) or
`epoch 0.10/2 step 20/400  loss 0.8  ...  412 samples/s  ...  ETA 5s` (m2d.training.monitor). Other lines are shown as
they are. That a task has begun, on which node, and has ended are lines of task.py.

Only the standard library is used: this runs before any environment is known to be whole.
"""

import os
import re
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, with or without an environment

from task import log_of

from m2d.common.lifetime import end_with_parent
from m2d.common.progress import Bar, duration, redraws

PREFIX = re.compile(r"^\d{4}-\d\d-\d\d [\d:]{8} \([^)]*\) (?:INFO|WARNING|ERROR): ")
COUNT = re.compile(r"(?:: |\bstep )(\d+)/([1-9]\d*)\b")
RATE = re.compile(r"([\d.e+]+) ?(samples)?/s")
LOSS = re.compile(r"\bloss (\S+)")
LEFT = re.compile(r"\bETA (\S+)")
FIRST_LINE_S, LAST_INTERVAL_S = 15.0, 300.0


class TaskLog:
    """One task's log, read as it grows."""

    def __init__(self, path: str):
        self.path, self.offset, self.rest = path, 0, ""
        self.begun = self.ended = False
        self.node = self.last = self.progress = ""  # the last line, and the last with a count in this part of the work
        self.fraction = 0.0

    def read(self) -> None:
        """Take note of the lines that have come."""
        try:
            with open(self.path, "rb") as stream:
                stream.seek(self.offset)
                data = stream.read()
        except OSError:
            return
        self.offset += len(data)
        *lines, self.rest = re.split(r"[\r\n]", self.rest + data.decode(errors="replace"))
        for line in lines:
            self._line(line.strip())

    def _line(self, line: str) -> None:
        if line.startswith("# started "):
            found = re.search(r" on (\S+), Slurm job", line)
            self.begun, self.ended, self.node = True, False, found[1] if found else ""
        elif line.startswith("# status "):
            self.ended = True
        elif line and not line.startswith("#"):
            self.last = PREFIX.sub("", line)
            if count := COUNT.search(self.last):
                self.progress, self.fraction = self.last, int(count[1]) / int(count[2])
            elif " done in " in self.last:
                self.progress = ""

    def text(self) -> str:
        """The essential part of a progress line, first the count; without one the last line."""
        count, loss, rate, left = (pattern.search(self.progress) for pattern in (COUNT, LOSS, RATE, LEFT))
        if not count or not rate:
            return self.last
        what = self.progress[:count.start()] if "step" not in count[0] else "step"
        parts = [f"{what} {count[1]}/{count[2]}", f"loss {loss[1]}" if loss else "",
                 f"{rate[1]} {rate[2]}/s" if rate[2] else f"{rate[1]}/s", f"ETA {left[1]}" if left else ""]
        return "  ".join(part for part in parts if part)


class Watch:
    """All tasks of a launcher."""

    def __init__(self, tasks: dict[str, str]):
        self.tasks = {index: TaskLog(path) for index, path in tasks.items()}
        self.start = time.monotonic()

    def read(self) -> tuple[float | None, str]:
        """The finished share, None if unknown, and a line of text."""
        for task in self.tasks.values():
            task.read()
        tasks = list(self.tasks.values())
        active = [task for task in tasks if task.begun and not task.ended]
        where = " ".join(dict.fromkeys(task.node for task in active if task.node))
        where = f"on {where}: " if where else ""
        if len(tasks) == 1:
            task = tasks[0]
            text = where + (task.text() if task.begun else "not begun yet")
            return (task.fraction if task.progress else None), text
        ended = sum(task.ended for task in tasks)
        done = sum(1.0 if task.ended else task.fraction for task in tasks) / len(tasks)
        elapsed = time.monotonic() - self.start
        left = f"  ETA {duration(elapsed * (1 - done) / done)}" if done > 0.02 and elapsed > 5 else ""
        newest = next((f"  [{index}] {task.text()}" for index, task in self.tasks.items() if task in active), "")
        return done, f"{where}{ended}/{len(tasks)} tasks{left}{newest}"


def main(words: list[str]) -> None:
    """Show the progress until TERM comes."""
    end_with_parent(int(words[0]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the launcher decides
    log, *numbers = words[1:]
    tasks = {str(index): log_of(log, str(index)) for index in range(int(numbers[0]), int(numbers[1]) + 1)} if numbers \
        else {"-": log}
    watch, stream = Watch(tasks), sys.stderr
    first, *others = tasks.values()
    logs = first + (f" ... {others[-1]}" if others else "")
    bar = Bar(stream)
    signal.signal(signal.SIGTERM, lambda *_: (bar.clear() if redraws(stream) else None, os._exit(0)))
    if not redraws(stream):
        wait, said = FIRST_LINE_S, ""
        while True:
            time.sleep(wait)
            fraction, text = watch.read()
            if text != said:
                share = "" if fraction is None else f"{fraction:.0%}  "
                print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} ({logs}) {share}{text[:300]}", file=stream, flush=True)
            said, wait = text, min(wait * 1.5, LAST_INTERVAL_S)
    print(f"  log: {logs}", file=stream, flush=True)
    while True:
        fraction, text = watch.read()
        bar.draw(fraction, f"{text}  {duration(time.monotonic() - watch.start)} so far" if fraction is None else text)
        time.sleep(0.5)


if __name__ == "__main__":
    main(sys.argv[1:])
