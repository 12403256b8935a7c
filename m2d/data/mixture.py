"""Several corpora in one training set, each with its share of every epoch."""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from m2d.common.errors import UserError
from m2d.data.dataset import Batch, BatchDataset, PretrainDataset
from m2d.data.memory import Layout
from m2d.data.randomness import permutation

ORDERS = 1 << 61
"""Added to the seed for the order within a corpus, so that it shares no random numbers with crops and masks."""


class Mixture(BatchDataset):
    """An epoch of as many samples as the corpora have utterances together (at least `least`), `shares` of it from each.

    A corpus is gone through in one random order after another, on from epoch to epoch: where its share is small, later
    epochs bring what earlier ones did not; where it is large, no utterance comes again before all have come. Which
    utterance a sample is depends on (seed, epoch, index) alone, so that runs resume exactly.

    Raises `UserError` for corpora whose batches would differ in shape, and for a share that is not positive.
    """

    def __init__(self, parts: Sequence[PretrainDataset], shares: Sequence[float], seed: int = 0, least: int = 0):
        for part in parts:
            if part.layout(1) != parts[0].layout(1):
                raise UserError(f"{part.directory} and {parts[0].directory} can't be mixed: their frames or those of "
                                "their teachers differ in width, rate or dtype")
        self.parts, self.seed, self.directory = list(parts), seed, parts[0].directory
        self.counts = apportion(max(sum(map(len, parts)), least), shares)
        self._ends = np.cumsum(self.counts)
        self._orders: dict[int, tuple[int, np.ndarray]] = {}  # by part: epoch, rows of its samples

    def __len__(self) -> int:
        return int(self._ends[-1])

    def layout(self, size: int) -> Layout:
        return self.parts[0].layout(size)

    def fill(self, batch: Batch, epoch: int, indices: np.ndarray) -> Batch:
        """As `PretrainDataset.fill`; the samples come in the order of their indices, which is corpus by corpus."""
        indices = np.sort(indices)
        others: dict[str, list] = {}  # what the parts' batches have beside the tensors of the layout
        edges = [0, *np.searchsorted(indices, self._ends)]
        for part, (first, last) in enumerate(itertools.pairwise(edges)):
            if first < last:
                places = indices[first:last] - (self._ends[part] - self.counts[part])
                rows = self._order(part, epoch)[places]
                own = {name: tensor[first:last] for name, tensor in batch.items()}
                filled = self.parts[part].fill(own, epoch, rows, indices[first:last])
                for name in filled.keys() - batch.keys():
                    others.setdefault(name, []).append(filled[name])
        for name, values in others.items():
            batch[name] = torch.cat(values) if isinstance(values[0], Tensor) else list(itertools.chain(*values))
        return batch

    def _order(self, part: int, epoch: int) -> np.ndarray:
        """Rows of all samples that a part gives to an epoch."""
        known, order = self._orders.get(part, (-1, None))
        if known != epoch:
            size, first, count = len(self.parts[part]), epoch * self.counts[part], self.counts[part]
            rounds = range(first // size, (first + count - 1) // size + 1)
            rows = np.concatenate([permutation(self.seed + ORDERS + part, number, size) for number in rounds])
            order = rows[first - rounds[0] * size:][:count]
            self._orders[part] = epoch, order
        return order


def apportion(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers that add up to `total` and come closest to the shares. `UserError` for one that gets nothing."""
    exact = total * np.array(shares, np.float64) / sum(shares)
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[:total - counts.sum()]] += 1
    if counts.min() < 1:
        raise UserError(f"shares {', '.join(f'{share:g}' for share in shares)}: one corpus of the mixture would give "
                        f"no sample to an epoch of {total}")
    return counts.tolist()
