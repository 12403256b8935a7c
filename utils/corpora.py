#!/usr/bin/env python3
"""Which corpora serve which tasks: corpora.yaml, read with the variables of db.sh in the environment.

usage: corpora.py superb|general named TASK...      those whose corpora db.sh names, one a line
       corpora.py superb|general mini TASK...       the others: the mini corpus stands in for all of each
       corpora.py superb|general lacking TASK       the variables that db.sh would have to name
       corpora.py superb|general options TASK       options of the task's entry point, NUL after each
       corpora.py superb|general check              every path that db.sh names must exist
"""

import os
import sys
from pathlib import Path

import yaml

PREFIX = {"superb": "corpora.", "general": ""}


def value_of(entry: dict) -> str:
    """The value of one corpus in db.sh; empty if not set."""
    found = os.environ.get(entry["variable"], "")
    if not found and "beside" in entry:
        variable, name = entry["beside"]
        path = Path(os.environ.get(variable, ""), name)
        if os.environ.get(variable) and path.exists():
            return str(path)
    return found


def lacking(entries: dict[str, dict]) -> list[str]:
    """The variables of what a task needs that db.sh leaves empty."""
    return [entry["variable"] for entry in entries.values() if not entry.get("optional") and not value_of(entry)]


def is_named(kind: str, task: str, entries: dict[str, dict]) -> bool:
    """Whether db.sh names all corpora of the task; if it names only some, the missing ones are printed."""
    missing = lacking(entries)
    if missing and any(value_of(entry) for entry in entries.values() if not entry.get("optional")):
        print(f"{kind} task {task}: db.sh does not name {', '.join(missing)}: its other corpora are not used either",
              file=sys.stderr)
    return not missing


def options(kind: str, entries: dict[str, dict], named: bool) -> list[str]:
    """`KEY=PATH` words, for a list `KEY=[]` and `KEY+=PATH`; of the mini corpus unless `named`."""
    words = []
    for key, entry in entries.items():
        name = PREFIX[kind] + key
        if named:
            value = value_of(entry)
        else:
            value = os.path.join(os.environ["MINI_CORPUS"], entry["mini"]) if "mini" in entry else ""
        if entry.get("list"):
            paths = value.split() if named and not os.path.exists(value) else [value]
            words += [f"{name}=[]", *(f"{name}+={path}" for path in paths)]
        elif value:
            words.append(f"{name}={value}")
    return words


def check(tasks: dict[str, dict[str, dict]]) -> str:
    """A line for the first path of db.sh that does not exist, or nothing."""
    for entries in tasks.values():
        for entry in entries.values():
            value = value_of(entry)
            for path in [value] if os.path.exists(value) or not entry.get("list") else value.split():
                if path and not os.path.exists(path):
                    return f"{entry['variable']}={path} (db.sh): no such file or folder"
    return ""


def main(kind: str, verb: str, *chosen: str) -> str | None:
    """Print the answer; returns the message of an error."""
    tasks = yaml.safe_load(Path(__file__).with_name("corpora.yaml").read_text(encoding="utf-8"))[kind]
    if verb == "check":
        return check(tasks) or None
    for task in chosen:
        if task not in tasks:
            return f"unknown task '{task}' (known {kind} tasks: {' '.join(tasks)})"
    if verb == "lacking":
        print(", ".join(lacking(tasks[chosen[0]])))
    elif verb == "options":
        (task,) = chosen
        sys.stdout.write("".join(f"{word}\0" for word in options(kind, tasks[task], is_named(kind, task, tasks[task]))))
    else:
        found = [task for task in chosen if is_named(kind, task, tasks[task]) == (verb == "named")]
        for task in found:
            if verb == "mini" and not all("mini" in entry or entry.get("optional") for entry in tasks[task].values()):
                return (f"task {task}: the mini corpus has nothing for it: name {', '.join(lacking(tasks[task]))} in "
                        "db.sh")
        print("".join(f"{task}\n" for task in found), end="")
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
