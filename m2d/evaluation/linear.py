"""Linear evaluation as in the papers: a linear layer on standardised, frozen clip vectors (M2D, section 4.1).

Adam with learning rate 3e-5 for up to 200 epochs, early stopping after 20 epochs without a better validation score,
weights of the best epoch. The papers do not give the batch size; 128 is our choice.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2d.common.config import option
from m2d.evaluation.scores import main_score

PAPER_LR = 3e-5
LEARNING_RATES = (3e-5, 3e-4, 1e-3, 3e-3, 1e-2)
"""Candidates on tasks that are not the papers'; the best validation score decides."""
MIX_LR = 1e-2  # for the layers' weights, which would hardly change at a linear layer's rate
VALID_SHARE = 0.1
"""Share of the training clips used for validation if the task has no validation part."""


@dataclass
class LinearOptions:
    """The protocol. The defaults are the papers'."""

    lr: float | None = option(None, "Adam's learning rate; default: 3e-5 for the papers' tasks, for others the best of "
                                    f"{', '.join(f'{lr:g}' for lr in LEARNING_RATES)} on validation",
                              within="(0, inf)")
    epochs: int = option(200, "epochs at most", within="[1, inf)")
    patience: int = option(20, "epochs without a better validation score before the end", within="[0, inf)")
    batch_size: int = option(128, "clips per step", within="[1, inf)")
    seeds: list[int] = option(factory=lambda: [0, 1, 2, 3, 4], help="one run each; mean and 95% interval over them",
                              items=(1, math.inf))
    knn: int = option(10, "neighbours of the kNN score, which trains nothing; 0: none", within="[0, inf)")
    layers: bool = option(False, "also every layer of the model, and their learnt sum, from one pass of features")


@dataclass
class Split:
    """Rows of the training, validation and test clips."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


@dataclass
class Fit:
    """A trained classifier with the weights of its best epoch."""

    score: float = -1.0  # validation, 0..1
    loss: float = float("inf")  # validation
    epoch: int = -1
    logits: np.ndarray = field(default_factory=lambda: np.empty(0))  # [test clips, C]
    curve: list[float] = field(default_factory=list)  # validation score of each epoch
    mix: list[float] = field(default_factory=list)  # weight of each layer, where there are several


class Probe(nn.Module):
    """A linear layer on vectors `[B, D]`, or on the weighted sum of those of several layers `[B, L, D]`."""

    def __init__(self, width: int, n_layers: int, n_classes: int, random: torch.Generator):
        super().__init__()
        self.linear = nn.Linear(width, n_classes)
        for parameter in self.linear.parameters():  # nn.Linear's own distribution, from a generator of this run
            parameter.data.copy_((2 * torch.rand(parameter.shape, generator=random) - 1) * width**-0.5)
        self.mix = nn.Parameter(torch.zeros(n_layers)) if n_layers > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x if self.mix is None else torch.einsum("l,bld->bd", self.mix.softmax(0), x))


def divide(targets: np.ndarray, parts: np.ndarray, test_part: str, seed: int) -> Split:
    """Training, validation and test clips when `test_part` is tested; clips of part '' are left out.

    Without a `valid` part, `VALID_SHARE` of the training clips validate, drawn class by class (of several labels the
    first), at least one of each class that keeps a training clip.
    """
    test = np.flatnonzero(parts == test_part)
    if "valid" in parts:
        return Split(np.flatnonzero(parts == "train"), np.flatnonzero(parts == "valid"), test)
    rest = np.flatnonzero((parts != test_part) & (parts != ""))
    labels = targets.argmax(1)
    random = np.random.default_rng(seed)
    held_out: list[int] = []
    for label in np.unique(labels[rest]):
        members = rest[labels[rest] == label]
        count = min(len(members) - 1, max(1, round(VALID_SHARE * len(members))))
        held_out += random.permutation(members)[:count].tolist()
    valid = np.array(sorted(held_out), dtype=int)
    return Split(np.setdiff1d(rest, valid), valid, test)


def fit_linear(vectors: Tensor, targets: Tensor, split: Split, lr: float, options: LinearOptions, seed: int,
               multilabel: bool = False) -> Fit:
    """Train on vectors `[clips, D]` or `[clips, L, D]`, label weights `[clips, C]`; validation chooses the epoch."""
    mean, std = vectors[split.train].mean(0), vectors[split.train].std(0)
    std = torch.where(std > 0, std, 1.0)  # a constant feature carries no information and must not become NaN
    x_train, x_valid, x_test = ((vectors[rows] - mean) / std for rows in (split.train, split.valid, split.test))
    y_train, y_valid = (targets[rows] if multilabel else targets[rows].argmax(1)
                        for rows in (split.train, split.valid))
    loss_of = F.binary_cross_entropy_with_logits if multilabel else F.cross_entropy
    random = torch.Generator().manual_seed(seed)
    probe = Probe(vectors.shape[-1], vectors.shape[1] if vectors.ndim == 3 else 1, targets.shape[1], random)
    probe.to(vectors.device)
    optimizer = torch.optim.Adam(probe.linear.parameters(), lr=lr)
    if probe.mix is not None:
        optimizer.add_param_group({"params": [probe.mix], "lr": MIX_LR})
    valid_targets = targets[split.valid].cpu().numpy()
    best, curve = Fit(), []
    for epoch in range(options.epochs):
        for rows in torch.randperm(len(x_train), generator=random).to(vectors.device).split(options.batch_size):
            optimizer.zero_grad()
            loss_of(probe(x_train[rows]), y_train[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            logits = probe(x_valid)
            curve.append(main_score(valid_targets, logits.cpu().numpy(), multilabel))
            if curve[-1] > best.score:
                mix = [] if probe.mix is None else probe.mix.softmax(0).tolist()
                best = Fit(curve[-1], loss_of(logits, y_valid).item(), epoch, probe(x_test).cpu().numpy(), curve, mix)
        if epoch - best.epoch >= options.patience:
            break
    return best
