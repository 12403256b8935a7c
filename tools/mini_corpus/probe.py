"""Linear probe of a teacher's layers for phones, per frame, against random weights and log-mels."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from m2d.audio.logmel import LogMel, LogMelConfig
from m2d.common.figures import save_figure
from m2d.common.files import write_json
from m2d.common.progress import progress
from m2d.data.datadir import DataDir
from m2d.teacher.speech_model import SpeechTeacher
from mini_corpus.alignments import HOP, AlignedClip, load_aligned, phone_set, read_alignments

LOG = logging.getLogger(__name__)

DECAY = 1e-4
"""L2 penalty on the weights, for standardised features."""

ITERATIONS = 60

Features = Callable[[np.ndarray], np.ndarray]
"""Samples `[N]` to rows `[T, D]`, 50 in a second."""


def probe_teacher(model: str, layers: Sequence[int], train: DataDir, test: DataDir, alignments: str | Path,
                  out: str | Path, clips: int, seed: int) -> dict[str, float]:
    """Share of frames of `test` whose phone a linear classifier fitted on `train` predicts.

    At most `clips` utterances of each are used. Frames are those of the layers of the teacher `model`, of the same
    network with random weights (drawn by `seed`), and of the log-mel spectrogram (two frames side by side make a row).
    Writes `probe.json` and `probe.png` to `out`; returns the scores: `majority`, `logmel`, `layer9`, `random9` and so
    on.

    Raises `UserError` where no utterance has phone times, and as `SpeechTeacher.load` does.
    """
    times = read_alignments(alignments)
    phones = phone_set(times)
    fit, held = load_aligned(train, times, clips), load_aligned(test, times, clips)
    LOG.info("probe: %d utterances to fit on, %d to test on, %d phones", len(fit), len(held), len(phones))
    counts = np.bincount(np.concatenate([clip.phones for clip in held]))
    scores = {"majority": counts.max() / counts.sum(), "logmel": _score(_logmel_rows(), fit, held, len(phones))}
    for layer in progress(layers, "layers"):
        scores[f"layer{layer}"] = _score(_teacher_rows(SpeechTeacher.load(model, layer)), fit, held, len(phones))
        scores[f"random{layer}"] = _score(_teacher_rows(SpeechTeacher.load(model, layer, seed)), fit, held, len(phones))
    for name, score in scores.items():
        LOG.info("%-10s %5.1f%% of frames", name, 100 * score)
    write_json(Path(out) / "probe.json", {"model": model, "utterances": [len(fit), len(held)], "accuracy": scores})
    save_figure(_figure(scores, layers), Path(out) / "probe.png")
    return scores


def probe_accuracy(train: Sequence[tuple[np.ndarray, np.ndarray]], test: Sequence[tuple[np.ndarray, np.ndarray]],
                   classes: int) -> float:
    """Share of test frames whose class a linear softmax classifier, fitted to the training frames, gets right.

    Both are clips as (features `[T, D]`, classes `[T]`). Features are standardised by the training frames' mean and
    deviation; the convex problem is solved by L-BFGS, so nothing depends on a seed or a learning rate.
    """
    x, y = _stack(train)
    mean, std = x.mean(0), x.std(0).clamp_min(1e-5)
    weight, bias = _fit((x - mean) / std, y, classes)
    x, y = _stack(test)
    guess = ((x - mean) / std @ weight + bias).argmax(1)
    return (guess == y).double().mean().item()


def _score(features: Features, train: list[AlignedClip], test: list[AlignedClip], classes: int) -> float:
    pairs = []
    for part in (train, test):
        rows = [features(clip.samples) for clip in part]
        pairs.append([(r, clip.phones[:len(r)]) for r, clip in zip(rows, part, strict=True)])
    return probe_accuracy(*pairs, classes)


def _teacher_rows(teacher: SpeechTeacher) -> Features:
    return lambda samples: teacher([torch.from_numpy(samples)])[0].numpy()


def _logmel_rows() -> Features:
    logmel = LogMel(LogMelConfig())

    def rows(samples: np.ndarray) -> np.ndarray:
        frames = logmel(torch.from_numpy(samples)).T  # [T, F]
        count = len(samples) // HOP
        return frames[:2 * count].reshape(count, -1).numpy()

    return rows


def _stack(clips: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[Tensor, Tensor]:
    """All frames `[N, D]` and classes `[N]`."""
    return (torch.from_numpy(np.concatenate([features for features, _ in clips])).float(),
            torch.from_numpy(np.concatenate([classes for _, classes in clips])))


def _fit(x: Tensor, y: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    weight = torch.zeros(x.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        value = functional.cross_entropy(x @ weight + bias, y) + DECAY * weight.square().sum()
        value.backward()
        return value

    solver.step(loss)
    return weight.detach(), bias.detach()


def _figure(scores: dict[str, float], layers: Sequence[int]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, label in (("layer", "teacher"), ("random", "random weights")):
        axes.plot(layers, [100 * scores[f"{name}{layer}"] for layer in layers], "o-", label=label)
    axes.axhline(100 * scores["logmel"], color="grey", linestyle="--", label="log-mel")
    axes.axhline(100 * scores["majority"], color="grey", linestyle=":", label="commonest phone")
    axes.set(xlabel="transformer layer", ylabel="frames whose phone is right, %", ylim=(0, 100), xticks=list(layers))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
