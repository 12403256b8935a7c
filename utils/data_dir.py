#!/usr/bin/env python3
"""Check, mend, take parts of, combine and split Kaldi data directories. The scripts of Kaldi's names call this.

utils/validate_data_dir.sh DIR
utils/fix_data_dir.sh DIR
utils/subset_data_dir.sh [--utt-list FILE | --spk-list FILE | --hours H] [--seed N] SOURCE [COUNT] TARGET
utils/combine_data.sh TARGET SOURCE...
utils/split_data.sh DIR JOBS
"""

import argparse
import itertools
import sys
from pathlib import Path

from m2d.common.errors import UserError
from m2d.data.datadir import DataDir
from m2d.data.datadir_tools import combine, faults, fix, split, subset

SHOWN = 20


def validate(words: list[str]) -> int:
    """Print what is wrong, at most `SHOWN` lines of it; 1 if anything is."""
    parser = argparse.ArgumentParser(prog="validate_data_dir.sh")
    parser.add_argument("dir")
    path = parser.parse_args(words).dir
    found = list(itertools.islice(faults(path), SHOWN + 1))
    for fault in found[:SHOWN]:
        print(fault, file=sys.stderr)
    if len(found) > SHOWN:
        print(f"... and more; {path} needs mending (see fix_data_dir.sh)", file=sys.stderr)
    if not found:
        print(f"{path}: {len(DataDir.read(path))} utterances, no faults")
    return int(bool(found))


def mend(words: list[str]) -> int:
    """Sort and drop what has no partner."""
    parser = argparse.ArgumentParser(prog="fix_data_dir.sh")
    parser.add_argument("dir")
    path = parser.parse_args(words).dir
    dropped = {file: count for file, count in fix(path).items() if count}
    said = ", ".join(f"{file}: {count} lines dropped" for file, count in dropped.items()) or "no line dropped"
    print(f"{path}: {len(DataDir.read(path))} utterances; {said} (as it was: {path}/.backup)")
    return 0


def part(words: list[str]) -> int:
    """Write a part of a directory."""
    parser = argparse.ArgumentParser(prog="subset_data_dir.sh")
    parser.add_argument("--utt-list", help="file whose lines begin with utterance ids")
    parser.add_argument("--spk-list", help="file whose lines begin with speakers")
    parser.add_argument("--hours", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("source")
    parser.add_argument("count", nargs="?", type=int)
    parser.add_argument("target")
    given = parser.parse_args(words)
    if sum(value is not None for value in (given.utt_list, given.spk_list, given.hours, given.count)) != 1:
        parser.error("give one of COUNT, --utt-list, --spk-list and --hours")
    data = subset(DataDir.read(given.source), utterances=_first_words(given.utt_list),
                  speakers=_first_words(given.spk_list), count=given.count, hours=given.hours, seed=given.seed)
    data.write(given.target)
    print(f"{given.target}: {len(data)} utterances")
    return 0


def together(words: list[str]) -> int:
    """Write several directories as one."""
    parser = argparse.ArgumentParser(prog="combine_data.sh")
    parser.add_argument("target")
    parser.add_argument("sources", nargs="+")
    given = parser.parse_args(words)
    data = combine([DataDir.read(source) for source in given.sources])
    data.write(given.target)
    print(f"{given.target}: {len(data)} utterances")
    return 0


def apart(words: list[str]) -> int:
    """Write the parts of a directory below it."""
    parser = argparse.ArgumentParser(prog="split_data.sh")
    parser.add_argument("dir")
    parser.add_argument("jobs", type=int)
    given = parser.parse_args(words)
    print(f"{given.dir}: {len(split(given.dir, given.jobs))} parts in {given.dir}/split{given.jobs}")
    return 0


def _first_words(path: str | None) -> list[str] | None:
    if path is None:
        return None
    try:
        return [line.split()[0] for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read as a list ({error})") from error


ACTIONS = {"validate": validate, "fix": mend, "subset": part, "combine": together, "split": apart}

if __name__ == "__main__":
    try:
        sys.exit(ACTIONS[sys.argv[1]](sys.argv[2:]))
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyError:
        sys.exit(__doc__)
