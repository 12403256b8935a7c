"""Files: atomic writes (beside the destination, then renamed), digests, checks, many at once."""

import errno
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from m2d.common.errors import UserError

T = TypeVar("T")
R = TypeVar("R")
THREADS = 16  # a network file system serves many requests at once
RUN = 256  # items that a thread takes at a time


@contextmanager
def atomic_open(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """Open a temporary file beside `path` for writing; it replaces `path` if the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, mode, **({} if "b" in mode else {"encoding": "utf-8"})) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None:  # of a write: the error must name the file
            raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """A temporary directory beside `path` that replaces it if the block ends without an error.

    Its files get the umask's permissions, including those that a library made readable by their owner only.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        readable = temporary.stat().st_mode & 0o666
        for file in temporary.rglob("*"):
            if file.is_file() and not file.is_symlink():
                file.chmod(file.stat().st_mode | readable)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_open(path) as stream:
        stream.write(text)


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: str | Path, default: Any = ...) -> Any:
    """The value in a JSON file; `default`, where it is given, if there is no such file."""
    if default is not ... and not Path(path).is_file():
        return default
    return json.loads(Path(path).read_text(encoding="utf-8"))


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's content in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def existing_file(path: str | Path, what: str = "file") -> Path:
    """The path. Raises `UserError` "PATH: no such WHAT" if it is not a file."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such {what}")
    return Path(path)


def existing_folder(path: str | Path, what: str = "folder") -> Path:
    """The path. Raises `UserError` "PATH: no such WHAT" if it is not a folder."""
    if not Path(path).is_dir():
        raise UserError(f"{path}: no such {what}")
    return Path(path)


def first_match(folder: Path, pattern: str, what: str) -> Path:
    """The first that a pattern finds in a folder. Raises `UserError` "FOLDER: no WHAT in it" where there is none."""
    if (found := next(folder.glob(pattern), None)) is None:
        raise UserError(f"{folder}: no {what} in it")
    return found


def disk_size(path: Path) -> str:
    """Bytes of a file, or of all files below a folder, as text: 3.43 MB."""
    entries = path.rglob("*") if path.is_dir() else [path]
    total: float = sum(entry.stat().st_size for entry in entries if entry.is_file())
    for unit in ("B", "kB", "MB", "GB"):
        if total < 1000:
            return f"{total:.3g} {unit}"
        total /= 1000
    return f"{total:.3g} TB"


def in_threads(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield `function(item)` for each item, in order and in constant memory."""
    source = iter(items)
    with ThreadPoolExecutor(THREADS) as pool:
        while runs := [run for _ in range(4 * THREADS) if (run := list(itertools.islice(source, RUN)))]:
            for results in pool.map(lambda run: [function(item) for item in run], runs):
                yield from results
