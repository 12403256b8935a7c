"""Fingerprints of inputs, and stamps that record them in the folders made from these inputs.

Audio files are identified by name, size and modification time (ns), which is cheap enough for every start; small files,
weights and settings by their bytes; packed stores by the digest of their frames.
"""

import dataclasses
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from m2d.common.files import in_threads, read_json, write_json

STAMP = "prepared.json"


def stamp_of(options: Any, sources: Iterable[str | Path]) -> dict[str, Any]:
    """Fingerprint of options (a dataclass) and of the current content of folders and files."""
    return {"options": dataclasses.asdict(options), "sources": {str(path): corpus_identity(path) for path in sources}}


def is_made(stamp: dict[str, Any], *directories: str | Path) -> bool:
    """Whether all folders carry this stamp."""
    return all(read_json(Path(directory) / STAMP, None) == stamp for directory in directories)


def mark_made(stamp: dict[str, Any], *directories: str | Path) -> None:
    """Write the stamp into finished folders. Replacing a folder removes its stamp."""
    for directory in directories:
        write_json(Path(directory) / STAMP, stamp)


def corpus_identity(path: str | Path) -> str:
    """Hex digest of a corpus: all files below a folder, or a text file and the files that it lists one a line.

    Links are followed, hidden files are ignored. A missing path has a digest too.
    """
    path = Path(path)
    if path.is_dir():
        return files_identity(path, ((name, name) for name in walk(path)))
    if not path.is_file():
        return "absent"
    content = path.read_bytes()
    lines = (line.strip() for line in content.decode("utf-8", "surrogateescape").splitlines())
    listed = files_identity(path.parent, ((line, line) for line in lines if line))
    return digest_of(hashlib.sha256(content).hexdigest(), listed)


def walk(root: Path) -> list[str]:
    """Paths below `root`, sorted, of all files but hidden and prepared ones; a folder of several links is read once."""
    found, seen = [], set()
    for folder, folders, files in os.walk(root, followlinks=True):
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders[:] = sorted(name for name in folders
                            if not name.startswith(".") and not os.path.exists(os.path.join(folder, name, STAMP)))
        below = os.path.relpath(folder, root)
        found += [os.path.normpath(os.path.join(below, name)) for name in files if not name.startswith(".")]
    return sorted(found)


def files_identity(root: Path, files: Iterable[tuple[str, str]]) -> str:
    """Hex digest of files `(key, name)` below `root`: of each its key, size and modification time."""
    return _digest(in_threads(lambda file: f"{file[0]} {_signature(os.path.join(root, file[1]))}", files))


def digest_of(*texts: str) -> str:
    """Hex digest of texts in their order."""
    return _digest(texts)


def _digest(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


def _signature(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return "absent"
    return f"{found.st_size} {found.st_mtime_ns}"
