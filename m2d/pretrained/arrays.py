"""Named arrays to files: one matrix for many clips, or one array for each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from m2d.common.errors import UserError, needed
from m2d.common.files import atomic_open, write_text

MATRIX_FORMATS = (".npy", ".npz", ".h5", ".hdf5", ".parquet")


def check_matrix_path(path: str | Path) -> None:
    """Raise `UserError` for an ending that is none of `MATRIX_FORMATS`, or needs a package that is not here."""
    suffix = Path(path).suffix
    if suffix not in MATRIX_FORMATS:
        raise UserError(f"{path}: give a name that ends in {', '.join(MATRIX_FORMATS)}")
    if suffix in (".h5", ".hdf5"):
        needed("h5py", f"writing {path}", "containers")
    elif suffix == ".parquet":
        needed("pyarrow", f"writing {path}", "containers")


def write_matrix(path: str | Path, names: list[str], matrix: np.ndarray,
                 columns: Mapping[str, np.ndarray] | None = None) -> None:
    """Write the rows `[B, W]` of clips with their names, whole or not at all.

    `.npz` and HDF5 hold `names` and `values`; parquet the columns `name` and `values` (a list a row); `.npy` holds the
    matrix, with `FILE.names.txt` beside it. `columns` are more values a row, such as times (not in `.npy`).
    """
    path, columns = Path(path), dict(columns or {})
    if path.suffix == ".npy":
        write_text(f"{path}.names.txt", "".join(f"{name}\n" for name in names))
    with atomic_open(path, "w+b") as stream:  # HDF5 reads what it wrote
        if path.suffix == ".npy":
            np.save(stream, matrix)
        elif path.suffix == ".npz":
            np.savez(stream, names=np.array(names), values=matrix, **columns)
        elif path.suffix == ".parquet":
            _write_parquet(stream, names, matrix, columns)
        else:
            import h5py

            with h5py.File(stream, "w") as file:
                file["names"] = np.array(names, dtype=h5py.string_dtype())
                for name, value in {"values": matrix, **columns}.items():
                    file[name] = value


def _write_parquet(stream: Any, names: list[str], matrix: np.ndarray, columns: dict[str, np.ndarray]) -> None:
    import pyarrow
    from pyarrow import parquet

    rows = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(matrix.reshape(-1)), matrix.shape[1])
    parquet.write_table(pyarrow.table({"name": names, **columns, "values": rows}), stream)
