"""Units that masked prediction learns to tell: clusters of MFCCs, then of the network's own features (HuBERT, 3.1)."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor
from torchaudio.compliance import kaldi
from torchaudio.functional import compute_deltas

from mini_corpus.alignments import SAMPLE_RATE

_FIT_ROWS = 200_000  # rows that k-means sees, drawn from all clips
_BATCH_ROWS = 10_000


def mfcc_rows(samples: Tensor) -> np.ndarray:
    """13 MFCCs with first and second differences `[T, 39]`, of every second 10 ms frame: HuBERT's first features.

    Row t is of the 25 ms from `320 t` on; its centre is that of HuBERT's row t.
    """
    coefficients = kaldi.mfcc(samples[None], sample_frequency=SAMPLE_RATE, use_energy=False, dither=0.0).T  # [13, 2T]
    first = compute_deltas(coefficients)
    return torch.cat([coefficients, first, compute_deltas(first)]).T[::2].numpy()


def cluster(rows: Sequence[np.ndarray], count: int, seed: int) -> list[np.ndarray]:
    """Number of the nearest of `count` centres `[T_i]` for the rows `[T_i, D]` of each clip.

    The centres are those of k-means (k-means++, mini-batches) on up to 200,000 rows, standardised by dimension.
    """
    stacked = np.concatenate(rows)
    mean, std = stacked.mean(0), stacked.std(0) + 1e-5
    draw = np.random.default_rng(seed)
    chosen = np.sort(draw.choice(len(stacked), min(_FIT_ROWS, len(stacked)), replace=False))
    kmeans = MiniBatchKMeans(count, batch_size=_BATCH_ROWS, n_init=5, max_no_improvement=100, random_state=seed)
    kmeans.fit((stacked[chosen] - mean) / std)
    units = kmeans.predict((stacked - mean) / std)
    return np.split(units, np.cumsum([len(one) for one in rows])[:-1])


def purity(units: Sequence[np.ndarray], phones: Sequence[np.ndarray]) -> float:
    """Share of frames whose phone is the commonest phone of their unit (HuBERT, section 5.1); both `[T_i]` a clip."""
    pairs = np.concatenate([np.stack([u, p[:len(u)]]) for u, p in zip(units, phones, strict=True)], axis=1)
    counts = np.zeros(pairs.max(1) + 1, int)
    np.add.at(counts, tuple(pairs), 1)
    return counts.max(1).sum() / counts.sum()
