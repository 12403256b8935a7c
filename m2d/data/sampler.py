"""The order of samples: one for all ranks, resumable at any step."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from m2d.common.errors import UserError
from m2d.data.randomness import permutation


class GlobalSampler(Sampler):
    """Batches `(epoch, indices)` of one rank, cut from a global order that depends on (seed, epoch) alone.

    Each optimiser step takes the next `global_batch` samples of the order; rank r of `ranks` gets the r-th run of
    `global_batch / ranks` of them, in `accumulate` parts of `local_batch`. The incomplete last batch of an epoch is
    dropped. Steps are counted from 0 over all epochs; iteration goes from `step` to the end of the last epoch, so that
    prefetching continues across epochs.

    Raises `UserError` for a batch that can't be divided, or is larger than the data.
    """

    def __init__(self, size: int, global_batch: int, epochs: int, *, rank: int = 0, ranks: int = 1, accumulate: int = 1,
                 seed: int = 0):
        if global_batch <= 0 or global_batch % (ranks * accumulate):
            raise UserError(f"batch of {global_batch}: can't be divided among {ranks} ranks x {accumulate} accumulated "
                            "parts: choose a multiple")
        if size < global_batch:
            raise UserError(f"batch of {global_batch} is more than the {size} samples there are: use a smaller one")
        self.size, self.global_batch, self.epochs, self.seed = size, global_batch, epochs, seed
        self.rank, self.ranks, self.accumulate = rank, ranks, accumulate
        self.local_batch = global_batch // (ranks * accumulate)
        self.step = 0

    @property
    def steps_per_epoch(self) -> int:
        return self.size // self.global_batch

    def __len__(self) -> int:
        return (self.epochs * self.steps_per_epoch - self.step) * self.accumulate

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        order_of, order = -1, np.empty(0)
        for step in range(self.step, self.epochs * self.steps_per_epoch):
            epoch, position = divmod(step, self.steps_per_epoch)
            if epoch != order_of:
                order_of, order = epoch, permutation(self.seed, epoch, self.size)
            first = position * self.global_batch + self.rank * self.accumulate * self.local_batch
            for part in range(self.accumulate):
                start = first + part * self.local_batch
                yield epoch, order[start:start + self.local_batch]

    def state_dict(self, step: int) -> dict[str, int]:
        """State after `step` optimiser steps. The caller counts them, because workers prefetch batches."""
        return {"seed": self.seed, "size": self.size, "global_batch": self.global_batch, "step": step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume at a saved step, on any number of ranks. Raises `UserError` if the order would differ."""
        for key in ("seed", "size", "global_batch"):
            if state[key] != getattr(self, key):
                raise UserError(f"sampler: {key} was {state[key]} and is {getattr(self, key)}: the order of samples "
                                "would change; resume with the same data, seed and batch, or start a new run")
        self.step = state["step"]
