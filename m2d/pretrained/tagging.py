"""Sound files to classes: the likeliest with times (`m2d tag`), a table of probabilities (`m2d predict`)."""

import csv
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from m2d.common.device import PRECISIONS, pick_device
from m2d.common.errors import UserError
from m2d.common.files import atomic_open
from m2d.common.options import option
from m2d.data.corpora.audioset import read_classes
from m2d.data.datadir import DataDir
from m2d.data.extract import JobOptions, extract
from m2d.data.writer import FailureLog, Writer
from m2d.pretrained.embedding import MATRIX_FORMATS, SoundOptions, check_matrix_path, write_matrix
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.heads import Classifier

THRESHOLD = 0.5
"""Probability from which on a class of several is named."""


@dataclass
class TagOptions(SoundOptions):
    labels: str | None = option(None, "class names: class_labels_indices.csv of AudioSet, or one name a line")
    top: int = option(5, "classes a row", within="[1, inf)")
    seconds: float | None = option(None, "length of a row; default: about the model's input", within="(0, inf)")
    out: str | None = option(None, f"all probabilities: a file of {', '.join(MATRIX_FORMATS)}")


@dataclass
class PredictOptions(SoundOptions):
    out: str = option("predictions.csv", "the table: file, begin, end (s), label, and the probability of each class")
    frames: bool = option(False, "a row for each frame, in place of one for each clip")


class Row(NamedTuple):
    """One stretch of a clip."""

    clip: str
    begin: float  # s
    end: float  # s
    probabilities: np.ndarray  # [C]


class WindowProbabilities:
    """Clips to equal windows of about `seconds`: rows of begin, end (s) and the probabilities of each class."""

    def __init__(self, model: M2DFeatures, seconds: float | None, place: torch.device, precision: str):
        self._model, self._place, self._precision = model.to(place), place, precision
        self.sample_rate, self.frame_count = model.sample_rate, model.logmel.frames
        whole = model.encoder.config.grid.n_time * model.samples_per_frame / model.sample_rate
        self._seconds = whole if seconds is None else seconds

    @torch.inference_mode()
    def __call__(self, wavs: list[torch.Tensor]) -> list[np.ndarray]:
        """Waveforms `[N_i]` to rows `[windows, 2 + C]`."""
        with torch.autocast(self._place.type, PRECISIONS[self._precision], enabled=self._precision != "float32"):
            clips = self._model.classifier.fill([wav.to(self._place) for wav in wavs], self.sample_rate)
            output = self._model(clips, all_layers=False)
        tables = []
        for wav, frames, length in zip(wavs, output.frames, output.lengths.tolist(), strict=True):
            duration = len(wav) / self.sample_rate
            own = math.ceil(self.frame_count(len(wav)) / self._model.encoder.config.patch_size[1])  # without filling
            windows = min(own, max(1, round(duration / self._seconds)))
            used = frames[:length if windows == 1 else own]
            means = torch.stack([part.mean(dim=0) for part in used.tensor_split(windows)])
            edges = torch.linspace(0, duration, windows + 1)
            times = torch.stack([edges[:-1], edges[1:]], dim=1)
            probabilities = self._model.classifier.probabilities(self._model.classify(means))
            tables.append(torch.cat([times, probabilities.cpu()], dim=1).numpy())
        return tables


class Rows(Writer):
    """A writer that keeps all rows."""

    def __init__(self, failed: FailureLog):
        super().__init__(failed)
        self.rows: list[Row] = []

    def append(self, utterance: str, frames: np.ndarray) -> None:
        self.done.add(utterance)
        self.rows += [Row(utterance, float(row[0]), float(row[1]), row[2:]) for row in frames]


def tag(data: DataDir, model: M2DFeatures, options: TagOptions) -> tuple[list[Row], FailureLog]:
    """Rows of all clips, written to `options.out` too, and what could not be read. `UserError` without a classifier."""
    if model.classifier is None:
        raise UserError(f"{options.model}: has no classifier: give fine-tuned weights (AS-FT, or m2d finetune's)")
    if options.out:
        check_matrix_path(options.out)
    writer = Rows(FailureLog(Path(f"{options.out or 'tags'}.failed")))
    windows = WindowProbabilities(model, options.seconds, pick_device(options.device), options.precision)
    extract(data, writer, windows, JobOptions(out="tags"), what="tag", batch_seconds=options.batch_seconds,
            workers=options.workers)
    rows = sorted(writer.rows, key=lambda row: row[:2])
    if options.out and rows:
        write_matrix(options.out, [row.clip for row in rows], np.stack([row.probabilities for row in rows]),
                     {"begin": np.array([row.begin for row in rows]), "end": np.array([row.end for row in rows])})
    return rows, writer.failed


def table(rows: list[Row], names: list[str], top: int) -> str:
    """Clip, begin and end in seconds, and the `top` classes with their probabilities, a row a line."""
    width = max((len(row.clip) for row in rows), default=0)
    lines = []
    for row in rows:
        best = np.argsort(-row.probabilities, kind="stable")[:top]
        classes = "  ".join(f"{names[index]} {row.probabilities[index]:.2f}" for index in best)
        lines.append(f"{row.clip:<{width}}  {row.begin:7.2f}  {row.end:7.2f}  {classes}")
    return "\n".join(lines)


def read_labels(path: str | Path) -> list[str]:
    """Class names: AudioSet's `class_labels_indices.csv`, or one a line. `UserError` for a file that is none."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: class names can't be read ({error})") from error
    if text.startswith("index,"):
        return list(read_classes(path).values())
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise UserError(f"{path}: no class names in it")
    return names


def predict(data: DataDir, model: M2DFeatures, options: PredictOptions) -> tuple[list[Row], FailureLog]:
    """Write the table; returns its rows and what could not be read. `UserError` without a classifier."""
    seconds = model.samples_per_frame / model.sample_rate / 2 if options.frames else math.inf  # below a frame: frames
    shared = {field.name: getattr(options, field.name) for field in fields(SoundOptions)}
    rows, failed = tag(data, model, TagOptions(**shared, seconds=seconds))
    with atomic_open(options.out) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", "begin", "end", "label", *model.classifier.names])
        writer.writerows([row.clip, f"{row.begin:.3f}", f"{row.end:.3f}", label_of(row.probabilities, model.classifier),
                          *(f"{value:.4f}" for value in row.probabilities)] for row in rows)
    return rows, failed


def label_of(probabilities: np.ndarray, classifier: Classifier) -> str:
    """The likeliest class, or of classes that do not exclude each other all likely ones, joined by `;`."""
    if classifier.exclusive:
        return classifier.names[probabilities.argmax()]
    return ";".join(name for name, value in zip(classifier.names, probabilities, strict=True) if value >= THRESHOLD)
