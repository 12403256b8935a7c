"""Seeded splits into train, valid and test that keep groups (speakers, devices, instruments) together."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from m2d.common.errors import UserError
from m2d.evaluation.tables import SPLITS

SHARES = (0.7, 0.1, 0.2)
"""Default shares of train, valid and test."""


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


def grouped_split(targets: np.ndarray, groups: Sequence[int], seed: int) -> list[str]:
    """A split stratified by class, one or several classes per clip, that keeps groups together: the part of each clip.

    Iterative stratification (Sechidis et al., 2011) over groups: the class with the fewest remaining groups comes
    first, its largest group goes to the part that lacks most of the class. A part without any of the class comes before
    that, in the order train, test, valid, so that a class of three groups is in all of them. (scikit-learn's
    StratifiedGroupKFold takes one label per clip and equal parts only.)

    Args:
        targets: label weights `[clips, C]`.
        groups: number of each clip's group, from 0.
        seed: order of groups of equal size.
    """
    counts = np.zeros((max(groups) + 1, targets.shape[1]))
    np.add.at(counts, np.asarray(groups), targets)
    wanted = np.outer(SHARES, counts.sum(0))  # [3, C], clips that each part still lacks
    held = np.zeros_like(wanted)
    part_of = np.full(len(counts), -1)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]  # largest first
    while (left := order[part_of[order] < 0]).size:
        remaining = (counts[left] > 0).sum(0)
        label = np.where(remaining > 0, remaining, len(counts) + 1).argmin()
        for group in left[counts[left, label] > 0]:
            empty = [part for part in (0, 2, 1) if not held[part, label]]
            part = empty[0] if empty else max(range(3), key=lambda p: (wanted[p, label], wanted[p].sum()))
            part_of[group] = part
            wanted[part] -= counts[group]
            held[part] += counts[group]
    return [SPLITS[part_of[group]] for group in groups]
