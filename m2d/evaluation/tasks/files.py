"""What the readers of the official downloads share: finding files, naming what is missing, speaker-disjoint splits."""

from __future__ import annotations

import csv
import os
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from m2d.common.errors import UserError
from m2d.evaluation.tasks.table import SPLITS, Clip, Listing


def need(path: Path, what: str) -> Path:
    """The path itself if it exists. Raises `UserError` naming it and what it should be."""
    if not path.exists():
        raise UserError(f"{path} is missing ({what})")
    return path


def first_of(paths: Iterable[Path], what: str) -> Path:
    """The first path that exists. Raises `UserError` naming all that were tried."""
    paths = list(paths)
    for path in paths:
        if path.exists():
            return path
    raise UserError(f"none of {', '.join(map(str, paths))} is there ({what})")


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of an official CSV file. Raises `UserError` if it or one of the columns is missing."""
    need(path, f"CSV file with the columns {', '.join(columns)}")
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        absent = [name for name in columns if name not in (reader.fieldnames or [])]
        if absent:
            raise UserError(f"{path}: column '{absent[0]}' is missing")
        return list(reader)


def read_lines(path: Path, what: str) -> list[str]:
    """Lines of an official list without blank ones. Raises `UserError` if the file is missing."""
    return [line.strip() for line in need(path, what).read_text(encoding="utf-8").splitlines() if line.strip()]


def listed(root: Path, clips: Iterable[Clip]) -> Listing:
    """Part official rows into those whose file exists and those whose file does not.

    Folders are listed once each, which is a hundred times faster on a network disk than asking for every file.
    """
    names: dict[str, set[str]] = {}
    present: list[Clip] = []
    missing: list[Clip] = []
    for clip in clips:
        folder, _, name = clip.file_name.rpartition("/")
        if folder not in names:
            directory = root / folder
            names[folder] = set(os.listdir(directory)) if directory.is_dir() else set()
        (present if name in names[folder] else missing).append(clip)
    return Listing(present, missing)


def disjoint_split(groups: Mapping[str, str], shares: tuple[float, float, float], seed: int) -> dict[str, str]:
    """A split that keeps whole groups (speakers, instruments) together: group -> train, valid or test.

    `groups` maps each group to a stratum (a language, or one word for all): in every stratum the groups are
    shuffled by `seed` and cut at the shares, each of the three parts getting at least one group.
    Raises `UserError` for a stratum with fewer than three groups.
    """
    strata: dict[str, list[str]] = defaultdict(list)
    for group in sorted(groups):
        strata[groups[group]].append(group)
    split = {}
    for stratum, members in sorted(strata.items()):
        if len(members) < len(SPLITS):
            raise UserError(f"'{stratum}' has {len(members)} speakers or groups: a split without common ones needs 3")
        random.Random(f"{seed} {stratum}").shuffle(members)
        valid, test = (max(1, round(share / sum(shares) * len(members))) for share in shares[1:])
        train = max(1, len(members) - valid - test)
        for position, group in enumerate(members):
            split[group] = SPLITS[(position >= train) + (position >= train + valid)]
    return split
