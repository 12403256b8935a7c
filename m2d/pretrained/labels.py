"""Class names of a classifier, from a file."""

from pathlib import Path

from m2d.common.errors import UserError
from m2d.data.corpora.audioset import read_classes


def read_labels(path: str | Path) -> list[str]:
    """Class names in order: AudioSet's `class_labels_indices.csv`, or a text file of one name a line.

    Raises `UserError` for a file that is missing, empty or not text.
    """
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
