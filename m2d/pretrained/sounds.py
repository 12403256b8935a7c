"""Sound files as users name them: folders, lists, data directories, single files; as one data directory in memory."""

from pathlib import Path

from m2d.audio.wave import EXTENSIONS
from m2d.common.errors import UserError
from m2d.common.files import existing_file
from m2d.data.corpora.folder import read_folder
from m2d.data.datadir import DataDir, Segment


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
