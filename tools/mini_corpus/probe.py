"""Linear probes of every layer of a teacher, for phones, words and speakers, beside random weights and log-mels."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from m2d.audio.logmel import LogMel, LogMelConfig
from m2d.audio.wave import audio_files, read_audio
from m2d.common.figures import save_figure
from m2d.common.files import write_json
from m2d.common.progress import progress
from m2d.data.datadir import DataDir
from m2d.teacher.loading import load_network
from mini_corpus.alignments import HOP, SAMPLE_RATE, load_aligned, phone_set, read_alignments

LOG = logging.getLogger(__name__)

DECAY = 1e-4
"""L2 penalty on the weights, for standardised features."""

ITERATIONS = 60

Rows = Callable[[np.ndarray], list[np.ndarray]]
"""Samples `[N]` to the rows `[T, D]` of each layer, 50 in a second."""


@dataclass
class Probe:
    """What is to be told from the features: clips `[N]` to fit on and to test on, with classes `[T]`, or of one row."""

    fit: list[tuple[np.ndarray, np.ndarray]]
    test: list[tuple[np.ndarray, np.ndarray]]
    classes: int

    @property
    def majority(self) -> float:
        """Share of the commonest class of the test part."""
        counts = np.bincount(np.concatenate([labels for _, labels in self.test]))
        return counts.max() / counts.sum()


def phone_probe(train: DataDir, test: DataDir, alignments: str | Path, clips: int) -> Probe:
    """Frames of at most `clips` utterances each. Raises `UserError` where no utterance has phone times."""
    times = read_alignments(alignments)
    fit, held = ([(clip.samples, clip.phones) for clip in load_aligned(data, times, clips)] for data in (train, test))
    return Probe(fit, held, len(phone_set(times)))


def folder_probe(root: str | Path, clips: int) -> Probe:
    """At most `clips` recordings of a folder per class; every third of the folders (files) in a class is tested on."""
    names = [name for name in audio_files(root) if not name.startswith("_")]
    names = [names[i * len(names) // clips] for i in range(clips)] if clips < len(names) else names
    labels = {label: number for number, label in enumerate(sorted({name.split("/")[0] for name in names}))}
    groups: dict[str, dict[str, int]] = {label: {} for label in labels}
    parts: tuple[list, list] = ([], [])
    for name in progress(names, str(root)):
        label, *inner = name.split("/")
        group = groups[label].setdefault(inner[0], len(groups[label]))
        parts[group % 3 == 2].append((read_audio(Path(root) / name, SAMPLE_RATE), np.array([labels[label]])))
    return Probe(*parts, len(labels))


def probe_teacher(model: str, probes: dict[str, Probe], out: str | Path, seed: int) -> dict[str, dict]:
    """Share of the test frames (clips, by the mean over time) whose class a linear classifier predicts.

    For each of `probes`: `majority`; `logmel` (two frames side by side make a row); `teacher` and `random`, a score
    for each transformer layer of the teacher and of its network with weights drawn by `seed`. Writes `probe.json` and
    `probe.png` to `out`. Raises `UserError` as `load_network` does.
    """
    scores: dict[str, dict] = {name: {"majority": probe.majority} for name, probe in probes.items()}
    kinds = {"logmel": _logmel_rows(), "teacher": _layer_rows(model), "random": _layer_rows(model, seed)}
    for kind, rows in kinds.items():
        for name, probe in probes.items():
            found = layer_scores(rows, probe)
            scores[name][kind] = found if kind != "logmel" else found[0]
            LOG.info("%s, %s: %s %% right", name, kind, " ".join(f"{100 * score:.1f}" for score in found))
    write_json(Path(out) / "probe.json", {"accuracy": scores})
    save_figure(_figure(scores), Path(out) / "probe.png")
    return scores


def layer_scores(rows: Rows, probe: Probe) -> list[float]:
    """The share right of each layer."""
    parts = []
    for clips in (probe.fit, probe.test):
        features = [(rows(samples), labels) for samples, labels in progress(clips, "features")]
        parts.append([[_pair(layers[k], labels) for layers, labels in features] for k in range(len(features[0][0]))])
    return [probe_accuracy(fit, test, probe.classes) for fit, test in zip(*parts, strict=True)]


def _pair(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and their classes; the mean of the rows where the clip has one class."""
    return (rows.mean(0, keepdims=True), labels) if len(labels) == 1 else (rows[:len(labels)], labels[:len(rows)])


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


def _layer_rows(model: str, random_weights: int | None = None) -> Rows:
    network, prepare = load_network(model, random_weights)
    network.eval()

    @torch.inference_mode()
    def rows(samples: np.ndarray) -> list[np.ndarray]:
        values = prepare(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
        return [state[0].numpy() for state in network(values, output_hidden_states=True).hidden_states[1:]]

    return rows


def _logmel_rows() -> Rows:
    logmel = LogMel(LogMelConfig())

    def rows(samples: np.ndarray) -> list[np.ndarray]:
        frames = logmel(torch.from_numpy(samples)).T  # [T, F]
        count = len(samples) // HOP
        return [frames[:2 * count].reshape(count, -1).numpy()]

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


def _figure(scores: dict[str, dict]) -> Figure:
    figure = Figure(figsize=(4 * len(scores), 4), layout="constrained")
    for axes, (name, found) in zip(np.atleast_1d(figure.subplots(1, len(scores))), scores.items(), strict=True):
        layers = range(1, len(found["teacher"]) + 1)
        for kind, label in (("teacher", "teacher"), ("random", "random weights")):
            axes.plot(layers, [100 * score for score in found[kind]], "o-", label=label)
        axes.axhline(100 * found["logmel"], color="grey", linestyle="--", label="log-mel")
        axes.axhline(100 * found["majority"], color="grey", linestyle=":", label="commonest class")
        axes.set(title=name, xlabel="transformer layer", ylabel="right, %", ylim=(0, 100), xticks=list(layers))
        axes.grid(alpha=0.3)
        axes.legend()
    return figure
