"""The corpus as a folder with a record, `meta.json`, of its sets: existing sets are not made again."""

import fcntl
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from m2d.common.errors import UserError
from m2d.common.provenance import versions
from mini_corpus import FORMAT, SEED
from mini_corpus.layouts import choose_sets

LOG = logging.getLogger(__name__)
META = "meta.json"
_PACKAGES = ("espeakng-loader", "py-nanotts", "pretty_midi", "numpy", "scipy", "soxr", "soundfile")


def make_corpus(out: str | Path, parts: list[str], scale: float = 1.0, jobs: int = 2) -> Path:
    """Make the sets that `out` does not hold yet, and return the path of its `meta.json`.

    Each set is built in a hidden folder and renamed, then entered into `meta.json` with its folders, files, minutes
    and CPU seconds: an interrupted call goes on with the first set that is not entered. A second process waits
    for the first.
    Raises `UserError` for an unknown part, a scale <= 0, a missing engine, and an `out` of another scale or format.
    """
    out = Path(out)
    names = choose_sets(parts)
    if scale <= 0 or jobs < 1:
        raise UserError(f"scale={scale} jobs={jobs}: both must be positive")
    if out.is_dir() and any(out.iterdir()) and not (out / META).is_file() and not (out / ".lock").is_file():
        raise UserError(f"{out}: not empty, and not a mini corpus: name another folder")
    meta = _read_meta(out, scale)
    if all(name in meta["sets"] for name in names):
        LOG.info("%s: whole, %d sets", out, len(names))
        return out / META
    out.mkdir(parents=True, exist_ok=True)
    with _locked(out / ".lock"):
        meta = _read_meta(out, scale)  # another process may have been at work
        from mini_corpus.build import make_sets  # here, as its imports take longer than all the above

        make_sets(out, out / META, meta, [name for name in names if name not in meta["sets"]], jobs)
    return out / META


def _read_meta(out: Path, scale: float) -> dict:
    """The record of `out`, or an empty one. Raises `UserError` for a corpus with other settings."""
    path = out / META
    if not path.is_file():
        return {
            "what": "mini corpus: synthetic audio in the layouts of real corpora (see mini_corpus)",
            "format": FORMAT, "seed": SEED, "scale": scale, "versions": versions(_PACKAGES), "sets": {},
        }
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        found = (meta["format"], meta["seed"], meta["scale"])
        meta["sets"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not the record of a mini corpus: name another folder") from error
    if found != (FORMAT, SEED, scale):
        raise UserError(
            f"{out}: holds a mini corpus of format {found[0]}, seed {found[1]}, scale {found[2]}, but format {FORMAT}, "
            f"seed {SEED}, scale {scale} is wanted: name another folder, or delete it")
    return meta


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file's lock; wait while another process has it."""
    with open(path, "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            LOG.info("%s: another process is making this corpus; waiting for it", path.parent)
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
