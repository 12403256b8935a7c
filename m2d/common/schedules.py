"""Learning-rate schedules as functions of the progress of a run."""

import math


def warmup_cosine(position: float, warmup: float, total: float) -> float:
    """Factor of the peak: linear from 0 to 1 over `warmup`, then half a cosine to 0 at `total` (MAE; M2D section 4.1).

    `position`, `warmup` and `total` have one unit, for example fractional epochs.
    """
    if position < warmup:
        return position / warmup
    return 0.5 * (1 + math.cos(math.pi * (position - warmup) / (total - warmup)))
