"""The miniature of ImageNet: scikit-learn's 1,797 handwritten digits in ImageNet's folder layout.

    python -m mini_images out=FOLDER

8 x 8 pixels are enlarged to 32 x 32 in three equal channels. The last `VAL_PER_CLASS` images of each digit are the
validation set: not a random part, since neighbours in the data set tend to be by the same writer. As in the official
download, val/ is one folder, and LOC_val_solution.csv holds its classes.
"""

from __future__ import annotations

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from m2d.common import cli
from m2d.common.config import option
from m2d.common.files import atomic_directory

SIZE, VAL_PER_CLASS, WHITE = 32, 36, 16  # pixels of a side, images, the digits' highest value


@dataclass
class Options:
    """Options of `mini_images`."""

    out: str = option(help="folder to write; an existing one is kept")


def main(options: Options) -> None:
    """Write the folder as a whole."""
    if Path(options.out).is_dir():
        logging.info("%s: there already", options.out)
        return
    digits = load_digits()
    with atomic_directory(options.out) as root:
        solution = []
        for label in range(10):
            rows = np.flatnonzero(digits.target == label)
            folder = root / "train" / _class(label)
            folder.mkdir(parents=True)
            for row in rows[:-VAL_PER_CLASS]:
                _save(digits.images[row], folder / f"{folder.name}_{row}.JPEG")
            solution += [(row, label) for row in rows[-VAL_PER_CLASS:]]
        (root / "val").mkdir()
        with open(root / "LOC_val_solution.csv", "w", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["ImageId", "PredictionString"])
            for number, (row, label) in enumerate(sorted(solution), 1):
                name = f"ILSVRC2012_val_{number:08d}"
                _save(digits.images[row], root / "val" / f"{name}.JPEG")
                writer.writerow([name, f"{_class(label)} 0 0 {SIZE} {SIZE}"])
    logging.info("%s: %d images", options.out, len(digits.target))


def _class(label: int) -> str:
    return f"n{label:08d}"


def _save(pixels: np.ndarray, path: Path) -> None:
    grey = Image.fromarray((pixels * 255 / WHITE).astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    grey.convert("RGB").save(path, "JPEG", quality=95)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
