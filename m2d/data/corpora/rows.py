"""Tables with the audio inside: parquet files, Hugging Face datasets on disk, HDF5 files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from m2d.audio.containers import open_dataset, open_hdf5, open_parquet, reference
from m2d.common.errors import UserError
from m2d.common.progress import progress
from m2d.data.corpora import CORPORA, warn_of
from m2d.data.corpora.tables import ID, LABEL, SPEAKER, TEXT, add, finish, first
from m2d.data.datadir import DataDir

AUDIO = ("audio", "wav", "flac", "speech", "sound", "bytes")
KNOWN = (*TEXT, *SPEAKER, *LABEL, *ID)


@CORPORA.register("parquet")
def read_parquet(root: str | Path) -> DataDir:
    """Every row of the `*.parquet` files below `root` (or of the file `root`), in the order of their names.

    The audio is a column of bytes, or of structs with `bytes` (as the Hugging Face hub stores audio). Ids are of an id
    column, else FILE-ROW. A file that can't be read or has no audio column is left out, with a warning. Raises
    `UserError` for an id that comes twice, or when there is no audio.
    """
    root, data = Path(root), DataDir({})
    faults: list[str] = []
    for file in progress(sorted(root.rglob("*.parquet")) if root.is_dir() else [root], "parquet files"):
        try:
            table = open_parquet(file)
            names = table.schema_arrow.names
            _add_rows(data, file, file.stem, names,
                      (row for batch in table.iter_batches(columns=[name for name in names if name in KNOWN])
                       for row in batch.to_pylist()), table.metadata.num_rows)
        except (OSError, ValueError) as error:  # pyarrow's errors derive from these
            faults.append(f"{file}: left out: not readable as parquet ({str(error).splitlines()[0]})")
    warn_of(faults, root)
    return finish(data, root, f"expected *.parquet files with a column {', '.join(AUDIO)}")


@CORPORA.register("huggingface")
def read_huggingface(root: str | Path) -> DataDir:
    """As `read_parquet`, of the dataset that `save_to_disk` wrote to `root`; class labels are given by their names."""
    root, data = Path(root), DataDir({})
    try:
        table = open_dataset(root)
        names = table.column_names
        kept = table.select_columns([name for name in names if name in KNOWN])
        classes = {name: kind for name, kind in kept.features.items() if hasattr(kind, "int2str")}
        rows = ({**row, **{name: kind.int2str(row[name]) for name, kind in classes.items() if row[name] is not None}}
                for row in kept) if kept.column_names else ({} for _ in range(len(table)))
        _add_rows(data, root, root.name, names, rows, len(table))
    except (OSError, ValueError) as error:
        raise UserError(f"{root}: no dataset of audio that save_to_disk left ({str(error).splitlines()[0]})") from error
    return finish(data, root, f"expected a column {', '.join(AUDIO)}")


@CORPORA.register("hdf5")
def read_hdf5(root: str | Path) -> DataDir:
    """Every dataset of the `*.h5` and `*.hdf5` files below `root` (or of the file `root`); ids are their names.

    A dataset is an encoded file (uint8), or samples with the attribute `sampling_rate`. Its attributes give text,
    speaker and labels.
    """
    root, data = Path(root), DataDir({})
    faults: list[str] = []
    files = sorted([*root.rglob("*.h5"), *root.rglob("*.hdf5")]) if root.is_dir() else [root]
    for file in progress(files, "HDF5 files"):
        try:
            with open_hdf5(file) as opened:
                entries: list[tuple[str, dict[str, Any]]] = []
                opened.visititems(lambda name, entry, found=entries: found.append((name, dict(entry.attrs)))
                                  if hasattr(entry, "dtype") else None)
        except OSError as error:
            faults.append(f"{file}: left out: not readable as HDF5 ({error})")
            continue
        for name, attributes in entries:
            add(data, name.replace("/", "-"), reference(file, name), attributes)
    warn_of(faults, root)
    return finish(data, root, "expected *.h5 files with a dataset for each recording")


def _add_rows(data: DataDir, file: Path, stem: str, names: list[str], rows: Iterator[Mapping[str, Any]],
              count: int) -> None:
    column = next((name for name in AUDIO if name in names), None)
    if column is None:
        raise ValueError(f"no column {', '.join(AUDIO)} among {', '.join(names)}")
    width = len(str(max(count - 1, 0)))
    for number, row in enumerate(rows):
        given = first(row, ID)
        key = f"{stem}-{number:0{width}d}" if given is None else Path(str(given)).with_suffix("").as_posix()
        add(data, key.strip("/").replace("/", "-"), reference(file, f"{column}:{number}"), row)
