"""Sound files, as users name them, to vectors and frames in one pass: what `m2d embed` does."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import MISSING

from m2d.audio.wave import EXTENSIONS
from m2d.common.device import PRECISIONS, pick_device
from m2d.common.errors import UserError, needed
from m2d.common.files import atomic_open, existing_file, write_text
from m2d.common.options import option
from m2d.data.corpora.folder import read_folder
from m2d.data.datadir import DataDir, Segment
from m2d.data.extract import JobOptions, extract
from m2d.data.writer import FailureLog, Writer
from m2d.pretrained.extraction import FileWriter, LayerFrames, checked_layer
from m2d.pretrained.features import M2DFeatures

MATRIX_FORMATS = (".npy", ".npz", ".h5", ".hdf5", ".parquet")


@dataclass
class SoundOptions:
    """Options of the commands that read sound files."""

    model: str = option(MISSING, "model directory, published checkpoint, or OWNER/NAME on the Hugging Face hub")
    files: list[str] = option(factory=list, help="sound files, folders, lists (.txt), data directories or wav.scp")
    heads: int | None = option(None, "attention heads, for a published checkpoint of unknown size")
    sample_rate: int | None = option(None, "16000 or 32000 Hz, for a published checkpoint")
    device: str = option("auto", "cpu, cuda:N, or auto: a GPU where there is one")
    precision: str = option("float32", "float32, bfloat16 or float16 (autocast)", choices=tuple(PRECISIONS))
    batch_seconds: float = option(120.0, "audio in a batch, padding included; less where memory is short")
    workers: int = option(2, "processes that read audio ahead")


@dataclass
class EmbedOptions(SoundOptions):
    out: str | None = option(None, f"one row a clip, the mean over time: a file of {', '.join(MATRIX_FORMATS)}")
    frames: str | None = option(None, "all frames: a folder of one NAME.npy [T, W] a clip")
    layer: int | None = option(None, "layer, from 0; default: the last")


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


class MeansAndFrames(Writer):
    """A writer that keeps each clip's mean over time and, with a `folder`, writes its frames there as `stems` say."""

    def __init__(self, failed: FailureLog, folder: FileWriter | None, stems: dict[str, str]):
        super().__init__(failed)
        self._folder, self._stems = folder, stems
        self.means: dict[str, np.ndarray] = {}

    def append(self, utterance: str, frames: np.ndarray) -> None:
        self.means[utterance] = frames.mean(axis=0)
        self.done.add(utterance)
        if self._folder is not None:
            self._folder.append(self._stems[utterance], frames)


def embed(data: DataDir, model: M2DFeatures, options: EmbedOptions) -> FailureLog:
    """Write the clips' vectors to `options.out`, their frames to `options.frames`; returns what could not be read.

    Raises `UserError` for settings that do not fit, and where no clip could be read.
    """
    if not (options.out or options.frames):
        raise UserError("give out=FILE for one vector a clip, frames=FOLDER for all frames, or both")
    if options.out:
        check_matrix_path(options.out)
    layer = checked_layer(model, options.layer)
    folder = None
    if options.frames:
        info = {"features": {"weights": model.digest(), "layer": layer}}
        folder = FileWriter(options.frames, 1, info, len(data))
    failed = FailureLog(Path(f"{options.out or options.frames}.failed"))
    stems = {name: name.replace("/", "-").lstrip(".-") for name in data.utterances}
    if folder and len(set(stems.values())) < len(stems):
        raise UserError("two clips would have one file of frames: give the folder above them in place of the files")
    writer = MeansAndFrames(failed, folder, stems)
    frames = LayerFrames(model, layer, False, pick_device(options.device), options.precision)
    extract(data, writer, frames, JobOptions(out=str(options.out or options.frames)), what="embed",
            batch_seconds=options.batch_seconds, workers=options.workers)
    if not writer.means:
        raise UserError(f"none of the {len(data)} clips could be read")
    if options.out:
        names = sorted(writer.means)
        write_matrix(options.out, names, np.stack([writer.means[name] for name in names]))
    return failed


def find_clips(places: list[str]) -> DataDir:
    """The recordings, or utterances, at all `places`.

    A place is a sound file, a folder (searched through), a data directory (with `wav.scp`) or its `wav.scp`, or a text
    file of one path a line. Single files are named by their paths, those of a folder by their paths below it, with
    dashes. Raises `UserError` for a place without sounds, and two sounds of one name.
    """
    if not places:
        raise UserError("give sound files: a folder, files, a list, wav.scp")
    merged = DataDir({})
    for place in places:
        found = _read(Path(place))
        if twice := found.wav.keys() & merged.wav.keys() or found.segments.keys() & merged.segments.keys():
            raise UserError(f"{place}: '{min(twice)}' was named before: give the folder above both")
        merged.wav |= found.wav
        merged.segments |= found.segments or {name: Segment(name, 0.0, -1.0) for name in found.wav}
        merged.utt2dur |= found.utt2dur
    return merged


def _read(place: Path) -> DataDir:
    if place.name == "wav.scp" or (place / "wav.scp").is_file():
        return DataDir.read(place if place.is_dir() else place.parent)
    if place.is_dir() or (place.is_file() and place.suffix.lower() in (".txt", ".lst", ".list", ".scp", ".csv", "")):
        return read_folder(place)
    existing_file(place, "file or folder")
    if place.suffix.lower() not in EXTENSIONS:
        raise UserError(f"{place}: neither sound by its ending ({' '.join(sorted(EXTENSIONS))}) nor a list (.txt)")
    return DataDir({str(place): str(place)})
