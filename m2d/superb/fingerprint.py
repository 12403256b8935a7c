"""What results and statistics are kept by: the content of a model's files and of a task's corpus."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from m2d.common.files import read_json, sha256, write_json

MODEL_FILES = (".safetensors", ".bin", ".json")


def model_content(ckpt: str | None) -> str | None:
    """A digest of the weights and configuration at a path; None for a model that is no path here."""
    if ckpt is None or not Path(ckpt).exists():
        return None
    path = Path(ckpt)
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.suffix in MODEL_FILES)
    return _joined(sha256(file) for file in files)


def corpus_content(paths: Iterable[str], index: Path) -> str:
    """A digest of every file at and below the paths: relative names and contents.

    A file is read once: `index` keeps its digest by size and time of change, because a corpus may be 40 GB.
    """
    known = read_json(index, {})
    found: dict[str, list] = {}
    names = []
    for root in paths:
        for file in _files(Path(root)):
            state = file.stat()
            stamp = [state.st_size, state.st_mtime_ns]
            before = known.get(str(file))
            digest = before[2] if before is not None and before[:2] == stamp else sha256(file)
            found[str(file)] = [*stamp, digest]
            names.append(f"{os.path.relpath(file, root)} {digest}")
    if found != known:
        write_json(index, found)
    return _joined(names)


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, folders, files in os.walk(root, followlinks=True):
        folders.sort()
        yield from (Path(folder) / name for name in sorted(files))


def _joined(words: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
