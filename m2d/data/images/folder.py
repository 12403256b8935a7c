"""ImageNet's folder layout: which images a part has, and of which class.

    train/nXXXXXXXX/*.JPEG        one folder per class, named by its WordNet id
    val/nXXXXXXXX/*.JPEG          the same, or
    val/*.JPEG                    all in one folder, and a label file somewhere beside it:
        *val*.csv, *val*.txt          lines of an image's name and its class, as the challenge's LOC_val_solution.csv
        *validation_ground_truth.txt  the devkit's, here or in its own folder: a class number for each image in
                                      order of name, with meta.mat
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from m2d.common.errors import UserError
from m2d.common.files import existing_folder, read_json, write_json, write_text

SUFFIXES = {".jpeg", ".jpg", ".png", ".webp"}
PARTS = ("train", "val")
CLASS = re.compile(r"n\d{8}")
NAMED = re.compile(r"([\w-]+)(?:\.\w+)?[,\s]+(n\d{8})\b.*")
TRUTH = "*validation_ground_truth.txt"
INDEX, ABOUT = "index.tsv", "images.json"


class ImageList(NamedTuple):
    """The images of one part. Class numbers index `classes`, the sorted names of the training folders."""

    root: Path
    paths: np.ndarray  # [N] bytes, relative to root
    labels: np.ndarray  # [N] int64
    classes: list[str]

    def path(self, index: int) -> Path:
        return self.root / self.paths[index].decode()

    def take(self, rows: np.ndarray) -> "ImageList":
        """The images at `rows` [M]."""
        return self._replace(paths=self.paths[rows], labels=self.labels[rows])

    def few(self, per_class: int, seed: int) -> np.ndarray:
        """Rows of `per_class` images of each class (all, where it has fewer, or at 0), drawn by `seed`, in order."""
        if not per_class:
            return np.arange(len(self.labels))
        random = np.random.default_rng([seed, per_class])
        chosen = [random.permutation(np.flatnonzero(self.labels == label))[:per_class]
                  for label in range(len(self.classes))]
        return np.sort(np.concatenate(chosen))

    def write(self, directory: str | Path) -> None:
        """Write `index.tsv` (path, class) and `images.json` (root, classes), which is there only when all is."""
        directory = Path(directory)
        (directory / ABOUT).unlink(missing_ok=True)
        write_text(directory / INDEX, "".join(f"{path.decode()}\t{self.classes[label]}\n"
                                              for path, label in zip(self.paths, self.labels, strict=True)))
        write_json(directory / ABOUT, {"root": str(self.root), "classes": self.classes})


def read_list(directory: str | Path) -> ImageList:
    """What `ImageList.write` wrote. Raises `UserError` if it is not there or not whole."""
    directory = Path(directory)
    try:
        about = read_json(directory / ABOUT)
        rows = [line.split("\t") for line in (directory / INDEX).read_text(encoding="utf-8").splitlines()]
        number = {name: label for label, name in enumerate(about["classes"])}
        return _list(Path(about["root"]), [(path, number[name]) for path, name in rows], about["classes"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{directory}: no list of images can be read there ({error}): "
                        "run m2d.bin.index_images") from None


def find_images(root: str | Path) -> dict[str, ImageList]:
    """The images below `root` by part, train and val, sorted by path. `UserError` that names what is missing."""
    root = Path(root).resolve()
    for part in PARTS:
        existing_folder(root / part, "folder (expected ImageNet's train/nXXXXXXXX/*.JPEG and val/)")
    classes = sorted(folder.name for folder in (root / "train").iterdir() if folder.is_dir())
    if not classes:
        raise UserError(f"{root}/train: no class folders in there (expected train/nXXXXXXXX/*.JPEG)")
    number = {name: label for label, name in enumerate(classes)}
    if any((root / "val").glob("*/")):
        val = _by_folder(root, "val", number)
    else:
        labels = _val_labels(root, number)
        val = [(f"val/{name}", labels.get(Path(name).stem)) for name in _images(root / "val")]
        unknown = [path for path, label in val if label is None]
        if unknown:
            raise UserError(f"{root}/{unknown[0]}: the label file does not name it "
                            f"({len(unknown)} of {len(val)} like it)")
    return {"train": _list(root, _by_folder(root, "train", number), classes), "val": _list(root, val, classes)}


def _list(root: Path, rows: list[tuple[str, int]], classes: list[str]) -> ImageList:
    paths = np.array([path.encode() for path, _ in rows], dtype=np.bytes_)
    return ImageList(root, paths, np.array([label for _, label in rows], np.int64), list(classes))


def _images(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not names:
        raise UserError(f"{folder}: no images in there ({', '.join(sorted(SUFFIXES))})")
    return names


def _by_folder(root: Path, part: str, number: dict[str, int]) -> list[tuple[str, int]]:
    rows = []
    for folder in sorted(path for path in (root / part).iterdir() if path.is_dir()):
        if folder.name not in number:
            raise UserError(f"{folder}: there is no such class in {root}/train")
        rows += [(f"{part}/{folder.name}/{name}", number[folder.name]) for name in _images(folder)]
    return rows


def _val_labels(root: Path, number: dict[str, int]) -> dict[str, int]:
    """Class number of each validation image by its name without suffix."""
    truth = sorted(path for folder in (".", "*devkit*/data") for path in root.glob(f"{folder}/{TRUTH}"))
    if truth:
        synsets = _devkit_classes(truth[0].with_name("meta.mat"))
        lines = truth[0].read_text(encoding="utf-8").split()
        stems = [Path(name).stem for name in _images(root / "val")]
        if len(stems) != len(lines):
            raise UserError(f"{truth[0]}: {len(lines)} labels, but {root}/val has {len(stems)} images")
        named, origin = dict(zip(stems, (synsets.get(line, line) for line in lines), strict=True)), truth[0]
    else:
        files = sorted(path for pattern in ("*val*.csv", "*val*.txt") for path in root.glob(pattern))
        if not files:
            raise UserError(f"{root}/val: neither class folders nor a label file beside it (LOC_val_solution.csv, or "
                            "ILSVRC2012_validation_ground_truth.txt with meta.mat of the devkit)")
        origin = files[0]
        matches = map(NAMED.fullmatch, origin.read_text(encoding="utf-8").splitlines())
        named = {match[1]: match[2] for match in matches if match}
    strange = sorted({name for name in named.values() if name not in number})
    if strange:
        raise UserError(f"{origin}: class '{strange[0]}' has no folder in {root}/train")
    return {stem: number[name] for stem, name in named.items()}


def _devkit_classes(path: Path) -> dict[str, str]:
    """The devkit's class number -> WordNet id."""
    import scipy.io  # for ImageNet's own labels only

    try:
        synsets = scipy.io.loadmat(path, squeeze_me=True)["synsets"]
        return {str(int(row["ILSVRC2012_ID"])): str(row["WNID"]) for row in synsets}
    except (OSError, ValueError, KeyError, NotImplementedError, scipy.io.matlab.MatReadError) as error:
        raise UserError(f"{path}: the devkit's class numbers can't be read ({error})") from None
