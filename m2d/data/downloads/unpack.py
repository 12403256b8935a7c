"""Unpacking of archives: nothing is written outside the folder, and a partial result is never taken for complete."""

import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from m2d.common.errors import UserError
from m2d.common.progress import progress
from m2d.data.downloads.split_zip import member_path, unpack_volumes

BAD_ARCHIVE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError)


def unpack(archive: str | Path, folder: str | Path, volumes: Sequence[str | Path] = ()) -> None:
    """Unpack a tar (any compression) or zip archive into `folder`; folders that are there already are merged into.

    `volumes` are the parts `x.z01`, `x.z02`, ... of a split zip whose last part is `archive`.

    Members are unpacked beside the folder and moved in when the whole archive has been read. Links that leave the
    folder, absolute names, `..` and devices are refused.

    Raises `UserError` for a broken archive, an unsafe member, or a format that is neither.
    """
    archive, folder = Path(archive), Path(folder)
    beside = folder / f".{archive.name}.unpacking"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        if volumes:
            unpack_volumes([*volumes, archive], beside)
        elif zipfile.is_zipfile(archive):
            _unzip(archive, beside)
        elif tarfile.is_tarfile(archive):
            _untar(archive, beside)
        else:
            raise UserError(f"{archive}: neither a tar nor a zip archive: delete it and download it again")
        _merge(beside, folder)
    except BAD_ARCHIVE as error:
        raise UserError(f"{archive}: broken or unsafe archive ({error}): delete it and download it again") from error
    except OSError as error:
        if error.errno is None:  # gzip's own error
            raise UserError(f"{archive}: broken archive ({error}): delete it and download it again") from error
        raise UserError(f"{folder}: can't unpack {archive.name} ({error.strerror})") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as source:
        for member in progress(source.infolist(), f"unpacking {archive.name}"):
            path = member_path(folder, member.filename)
            if member.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with source.open(member) as content, open(path, "wb") as stream:  # checks the CRC at the end
                shutil.copyfileobj(content, stream, 1 << 20)


def _untar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as source:
        for member in progress(source, f"unpacking {archive.name}"):
            source.extract(member, folder, filter="data")  # refuses what leaves the folder, devices, and strips modes


def _merge(source: Path, target: Path) -> None:
    """Move the content of `source` into `target`; what has the same name is replaced, folders are merged."""
    for path in sorted(source.iterdir()):
        place = target / path.name
        if path.is_dir() and not path.is_symlink() and place.is_dir():
            _merge(path, place)
        else:
            path.replace(place)
