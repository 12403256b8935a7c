"""AudioSet's clips as they are usually stored: as files, or packed in tar, parquet and HDF5 files."""

import logging
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from m2d.audio.containers import open_hdf5, open_parquet, reference, tar_index
from m2d.audio.wave import EXTENSIONS, audio_files
from m2d.common.files import existing_folder
from m2d.data.corpora.rows import AUDIO

LOG = logging.getLogger(__name__)
NAMES = ("audio_name", "video_id", "id", "ytid")
"""Columns and HDF5 datasets that hold the name of each clip."""

HDF5_AUDIO = ("waveform", "mp3", *AUDIO)
"""HDF5 datasets with a row for each clip: samples `[N, S]`, or encoded files of uint8."""


def clips_below(root: Path) -> Iterator[tuple[str, str]]:
    """Name without extension, and path or reference, of everything below `root` that may be a clip; files come first.

    A pack that can't be read is skipped with a warning. Raises `UserError` if there is no such folder.
    """
    root = root.absolute()
    existing_folder(root)
    for name in audio_files(root):
        yield PurePosixPath(name).stem, str(root / name)
    for pack in (root / name for name in audio_files(root, _READERS)):
        try:
            yield from list(_READERS[pack.suffix.lower()](pack))
        except (OSError, ValueError, KeyError, tarfile.TarError) as error:
            LOG.warning("%s: left out with all its clips: can't be read (%s)", pack, str(error).splitlines()[0])


def _of_tar(pack: Path) -> Iterator[tuple[str, str]]:
    for name in tar_index(pack):
        path = PurePosixPath(name)
        if path.suffix.lower() in EXTENSIONS:
            yield path.stem, reference(pack, name)


def _of_parquet(pack: Path) -> Iterator[tuple[str, str]]:
    table = open_parquet(pack)
    columns = table.schema_arrow.names
    names, audio = _first(NAMES, columns), _first(AUDIO, columns)
    rows = (row[names] for batch in table.iter_batches(columns=[names]) for row in batch.to_pylist())
    for row, name in enumerate(rows):
        yield _stem(name), reference(pack, f"{audio}:{row}")


def _of_hdf5(pack: Path) -> Iterator[tuple[str, str]]:
    with open_hdf5(pack) as opened:
        if not any(name in opened for name in NAMES):  # a dataset for each clip
            found: list[str] = []
            opened.visititems(lambda name, entry: found.append(name) if hasattr(entry, "dtype") else None)
            yield from ((_stem(name), reference(pack, name)) for name in found)
            return
        names, audio = _first(NAMES, list(opened)), _first(HDF5_AUDIO, list(opened))
        for row, name in enumerate(opened[names][()]):
            yield _stem(name), reference(pack, f"{audio}:{row}")


def _first(known: tuple[str, ...], there: list[str]) -> str:
    name = next((name for name in known if name in there), None)
    if name is None:
        raise ValueError(f"none of {', '.join(known)} is in it")
    return name


def _stem(name: str | bytes) -> str:
    path = PurePosixPath(name.decode("utf-8") if isinstance(name, bytes) else str(name))
    return path.stem if path.suffix.lower() in EXTENSIONS else path.name


_READERS: dict[str, Callable[[Path], Iterator[tuple[str, str]]]] = {
    ".tar": _of_tar, ".parquet": _of_parquet, ".h5": _of_hdf5, ".hdf5": _of_hdf5, ".hdf": _of_hdf5}
