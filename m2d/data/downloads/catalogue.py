"""Corpora by name: fetched, unpacked and checked, or the web page where access has to be requested."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from m2d.common.errors import UserError
from m2d.common.files import read_json, write_json
from m2d.common.options import nearest
from m2d.data.downloads.fetch import Remote, fetch
from m2d.data.downloads.unpack import unpack

LOG = logging.getLogger(__name__)
CATALOGUE = Path(__file__).with_name("catalogue.yaml")
GB = 1e9


@dataclass(frozen=True)
class Corpus:
    """One entry of the catalogue; its fields are described at the top of `catalogue.yaml`."""

    name: str
    about: str
    variable: str = ""
    place: str = ""
    licence: str = ""
    page: str = ""
    ask: str = ""
    gb: tuple[float, float] = (0.0, 0.0)
    expect: list[str] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    includes: list[str] = field(default_factory=list)

    def location(self, out: Path) -> Path:
        """The path for db.sh, once the corpus is unpacked below `out`."""
        return (out / (self.place or self.expect[0].split("/")[0])).absolute()

    def missing(self, root: Path) -> list[str]:
        """The expected paths that are missing below `root`."""
        return [path for path in self.expect if next(root.glob(path), None) is None]


def read_catalogue(path: str | Path = CATALOGUE) -> dict[str, Corpus]:
    """All entries by name, in the order of the file. Raises `UserError` for a file of another form."""
    try:
        entries = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        return {name: Corpus(name, **{**entry, "gb": tuple(entry.get("gb", (0, 0)))})
                for name, entry in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not a catalogue of corpora ({' '.join(str(error).split())}); its form is described "
                        f"in {CATALOGUE}") from error


def chosen(catalogue: dict[str, Corpus], names: Sequence[str]) -> list[Corpus]:
    """The entries of these names, those that an entry includes in its place. `UserError` for an unknown name."""
    corpora: dict[str, Corpus] = {}
    for name in names:
        if name not in catalogue:
            raise UserError(f"unknown corpus '{name}'{nearest(name, list(catalogue))}; known: {', '.join(catalogue)}")
        for part in catalogue[name].includes or [name]:
            corpora[part] = catalogue[part]
    return list(corpora.values())


def download(corpora: Sequence[Corpus], out: str | Path, keep_archives: bool = False, **transfer: Any) -> None:
    """Fetch, unpack and check corpora below `out`; complete ones are skipped.

    `transfer` goes to `fetch`. Corpora behind a page are only checked.

    Raises `UserError` for too little disk, a failed transfer, a broken archive, or, after all others have been seen
    to, for the corpora that a person must ask for.
    """
    out = Path(out)
    wanted = [corpus for corpus in corpora if not _is_done(corpus, out)]
    _check_disk([corpus for corpus in wanted if corpus.files], out)
    asked = []
    for corpus in wanted:
        if corpus.files:
            LOG.info("%s: %s (licence: %s)", corpus.name, corpus.about, corpus.licence)
            _bring(corpus, out, keep_archives, transfer)
        elif missing := corpus.missing(out / corpus.name):
            asked.append(f"{corpus.name}: {corpus.ask} ({corpus.page}); put it into {out / corpus.name}, which lacks "
                         f"{', '.join(missing[:3])}")
        else:
            LOG.info("%s: %s is there; name it in db.sh: %s=%s", corpus.name, corpus.about, corpus.variable,
                     (out / corpus.name).absolute())
    if asked:
        raise UserError("not to be downloaded by a program: " + "; ".join(asked))


def _bring(corpus: Corpus, out: Path, keep_archives: bool, transfer: dict[str, Any]) -> None:
    archives = out / "archives" / corpus.name
    for entry in corpus.files:
        folder = out / entry.get("folder", "")
        if not entry.get("unpack", True):
            fetch(_remote(entry), folder, **transfer)
            continue
        volumes = [fetch(_remote(volume), archives, **transfer) for volume in entry.get("volumes", [])]
        unpack(fetch(_remote(entry), archives, **transfer), folder, volumes)
    if missing := corpus.missing(out):
        raise UserError(f"{out}: {corpus.name} was unpacked, but {missing[0]} is not there: the publisher has changed "
                        f"the archive; it is kept in {archives}")
    write_json(_mark(corpus, out), [entry["urls"][0] for entry in corpus.files])
    if not keep_archives:
        shutil.rmtree(archives, ignore_errors=True)
    LOG.info("%s: done; name it in db.sh: %s=%s", corpus.name, corpus.variable, corpus.location(out))


def _remote(entry: dict[str, Any]) -> Remote:
    return Remote(tuple(entry["urls"]), entry.get("size"), entry.get("checksum"))


def _mark(corpus: Corpus, out: Path) -> Path:
    return out / f".{corpus.name}.downloaded.json"


def _is_done(corpus: Corpus, out: Path) -> bool:
    """Whether these files were unpacked there before and all expected paths are still there."""
    mark = _mark(corpus, out)
    if not mark.is_file() or corpus.missing(out):
        return False
    done = read_json(mark) == [entry["urls"][0] for entry in corpus.files]
    if done:
        LOG.info("%s: already there", corpus.name)
    return done


def _check_disk(corpora: Sequence[Corpus], out: Path) -> None:
    """Raise `UserError` if there is too little disk space; archives are kept for one corpus at a time."""
    needed = sum(corpus.gb[1] for corpus in corpora) + max((corpus.gb[0] for corpus in corpora), default=0)
    place = out.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / GB
    if needed > free:
        raise UserError(f"{out}: {', '.join(corpus.name for corpus in corpora)} need {needed:.0f} GB there, {free:.0f} "
                        "GB are free: name fewer corpora, or another out=")
