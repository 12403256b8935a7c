"""Sound files to a table of a fine-tuned model's classes: what `m2d predict` does."""

import csv
import math
from dataclasses import dataclass, fields

import numpy as np

from m2d.common.files import atomic_open
from m2d.common.options import option
from m2d.data.datadir import DataDir
from m2d.data.failures import FailureLog
from m2d.pretrained.embedding import SoundOptions
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.heads import Classifier
from m2d.pretrained.tagging import Row, TagOptions, tag

THRESHOLD = 0.5
"""Probability from which on a class of several is named."""


@dataclass
class PredictOptions(SoundOptions):
    out: str = option("predictions.csv", "the table: file, begin, end (s), label, and the probability of each class")
    frames: bool = option(False, "a row for each frame, in place of one for each clip")


def predict(data: DataDir, model: M2DFeatures, options: PredictOptions) -> tuple[list[Row], FailureLog]:
    """Write the table; returns its rows and what could not be read.

    Raises `UserError` for a model without a classifier, and settings that do not fit.
    """
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
