"""Scalar mean and standard deviation of log-mels, from sums that jobs and batches add to."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Moments:
    """Number of values, their sum and the sum of their squares, in float64."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, values: np.ndarray) -> None:
        values = np.array(values, np.float64)
        self.count += values.size
        self.total += float(values.sum())
        self.squares += float(np.square(values, out=values).sum())

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """Mean of all values, of which there must be at least one."""
        return self.total / self.count

    @property
    def std(self) -> float:
        """Standard deviation over all values so far (divided by their number)."""
        return max(0.0, self.squares / self.count - self.mean**2) ** 0.5
