"""Audio inside container files: `FILE::KEY` names a member of a tar, a row of a table, an entry of an HDF5 file.

    shard-000.tar::spk1/utt7.flac        a member of an uncompressed tar (webdataset shards, Lhotse Shar)
    part-0.parquet::audio:12             row 12 of a parquet column of bytes, or of structs with `bytes`
    dataset_folder::audio:12             the same for a Hugging Face dataset written by `save_to_disk`
    clips.h5::utt7                       an HDF5 dataset: an encoded file (uint8) or samples with `sampling_rate`
    clips.h5::waveform:12                row 12 of an HDF5 dataset, as packs of AudioSet have it

Each process caches the indexes of the files that it read last.
"""

import importlib
import io
import tarfile
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from m2d.common.errors import UserError

SEPARATOR = "::"
KEPT = 8  # files whose index a process keeps


class ContainerError(UserError):
    """A file that is missing or broken, or an entry that it does not have; the message names both."""


def split_reference(path: str | Path) -> tuple[Path, str] | None:
    """File and key of a `FILE::KEY` reference; None for the name of a plain file."""
    file, mark, key = str(path).rpartition(SEPARATOR)
    if not mark or not file or Path(path).exists():
        return None
    return Path(file), key


def reference(file: str | Path, key: str) -> str:
    """The reference of an entry, with the file's absolute path."""
    return f"{Path(file).absolute()}{SEPARATOR}{key}"


def read_entry(file: Path, key: str) -> io.BytesIO:
    """An entry's audio as a file object; samples are given as a WAV file of floats.

    Raises `ContainerError` for a file that is missing or broken, a key that it does not have, a missing package.
    """
    if not file.exists():
        raise ContainerError(f"{file}: no such file")
    try:
        return _reader(file)(file, key)
    except KeyError as error:
        raise ContainerError(f"{file}: has no entry '{key}'") from error
    except (OSError, ValueError, tarfile.TarError) as error:
        raise ContainerError(f"{file}: entry '{key}' can't be read ({error})") from error


def tar_index(file: str | Path) -> dict[str, tuple[int, int]]:
    """Offset and size of each file in an uncompressed tar."""
    with tarfile.open(file, "r:") as archive:
        return {member.name: (member.offset_data, member.size) for member in archive if member.isfile()}


def open_dataset(folder: str | Path) -> Any:
    """A Hugging Face dataset on disk, audio left encoded. Raises `ContainerError` without the `datasets` package."""
    datasets = _needed("datasets")
    table = datasets.load_from_disk(str(folder))
    if not isinstance(table, datasets.Dataset):
        raise ContainerError(f"{folder}: holds the splits {', '.join(table)}: name the folder of one of them")
    for name, kind in table.features.items():
        if isinstance(kind, datasets.Audio):
            table = table.cast_column(name, datasets.Audio(decode=False))
    return table


def open_parquet(file: str | Path) -> Any:
    """A parquet file. Raises `ContainerError` without the `pyarrow` package."""
    _needed("pyarrow")
    from pyarrow import parquet

    return parquet.ParquetFile(file)


def open_hdf5(file: str | Path) -> Any:
    """An HDF5 file, for reading. Raises `ContainerError` without the `h5py` package."""
    return _needed("h5py").File(file, "r")


def _reader(file: Path) -> Callable[[Path, str], io.BytesIO]:
    if file.is_dir():
        return _from_dataset
    readers = {".tar": _from_tar, ".parquet": _from_parquet, ".h5": _from_hdf5, ".hdf5": _from_hdf5,
               ".hdf": _from_hdf5}
    if file.suffix not in readers:
        raise ContainerError(f"{file}: entries can be read of {' '.join(readers)} and of Hugging Face datasets on disk")
    return readers[file.suffix]


def _from_tar(file: Path, key: str) -> io.BytesIO:
    offset, size = _tar_index(file, file.stat().st_mtime_ns)[key]
    with open(file, "rb") as stream:
        stream.seek(offset)
        return io.BytesIO(stream.read(size))


def _from_parquet(file: Path, key: str) -> io.BytesIO:
    column, row = _column_and_row(key)
    table, starts = _parquet(file, file.stat().st_mtime_ns)
    group = bisect_right(starts, row) - 1
    if not 0 <= row < table.metadata.num_rows:
        raise KeyError(key)
    return _encoded(_parquet_group(file, file.stat().st_mtime_ns, group, column)[row - starts[group]].as_py(), file)


def _from_dataset(folder: Path, key: str) -> io.BytesIO:
    column, row = _column_and_row(key)
    table = _dataset(folder)
    if column not in table.column_names or not 0 <= row < len(table):
        raise KeyError(key)
    return _encoded(table[row][column], folder)


def _from_hdf5(file: Path, key: str) -> io.BytesIO:
    opened = _hdf5(file, file.stat().st_mtime_ns)
    name, row = (key, ()) if key in opened else _column_and_row(key)
    entry = opened[name]
    if row != () and row >= len(entry):
        raise KeyError(key)
    data = entry[row]
    if data.dtype == np.uint8:
        return io.BytesIO(data.tobytes())
    rate = next((place.attrs[word] for place in (entry, entry.file) for word in ("sampling_rate", "sample_rate")
                 if word in place.attrs), None)
    if rate is None or data.ndim not in (1, 2) or data.dtype.kind not in "fi":
        raise ContainerError(f"{file}: entry '{key}' is {data.dtype} {list(data.shape)}: expected an encoded file "
                             "(uint8), or samples with an attribute sampling_rate, its own or the file's")
    if data.dtype.kind == "i":
        data = data / -float(np.iinfo(data.dtype).min)
    if data.ndim == 2 and data.shape[0] < data.shape[1]:  # channels first
        data = data.T
    wav = io.BytesIO()
    soundfile.write(wav, data.astype(np.float32), int(rate), subtype="FLOAT", format="WAV")
    wav.seek(0)
    return wav


def _column_and_row(key: str) -> tuple[str, int]:
    column, _, row = key.rpartition(":")
    if not column or not row.isdigit():
        raise KeyError(key)
    return column, int(row)


def _encoded(value: Any, file: Path) -> io.BytesIO:
    """The bytes of a cell: bytes, or a struct with `bytes` or a `path`, as Hugging Face's Audio has it."""
    if isinstance(value, dict):
        content, path = value.get("bytes"), value.get("path")
        if content is None and path and Path(path).is_file():
            content = Path(path).read_bytes()
        value = content
    if not isinstance(value, bytes):
        raise ValueError("the cell holds no bytes of an audio file")
    return io.BytesIO(value)


def _needed(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ContainerError(f"this needs the package {package}: pip install 'm2d[containers]'") from None


@lru_cache(KEPT)
def _parquet(file: Path, changed: int) -> tuple[Any, list[int]]:
    table = open_parquet(file)
    sizes = [table.metadata.row_group(group).num_rows for group in range(table.metadata.num_row_groups)]
    return table, [0, *accumulate(sizes)][:-1]


@lru_cache(1)  # rows are read in order: the group of the row before
def _parquet_group(file: Path, changed: int, group: int, column: str) -> Any:
    table, _ = _parquet(file, changed)
    if column not in table.schema_arrow.names:
        raise KeyError(column)
    return table.read_row_group(group, columns=[column]).column(0)


_dataset = lru_cache(KEPT)(open_dataset)
_tar_index = lru_cache(KEPT)(lambda file, changed: tar_index(file))
_hdf5 = lru_cache(KEPT)(lambda file, changed: open_hdf5(file))
