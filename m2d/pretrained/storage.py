"""Files of tensors, read safely: whole, undamaged, and nothing but tensors and plain settings."""

import argparse
import pathlib
import pickle
import re
import struct
import zipfile
import zlib
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from m2d.common.errors import UserError
from m2d.common.files import atomic_open, existing_file, sha256, write_text

CHECKSUM = ".sha256"


def read_pth(path: str | pathlib.Path) -> Any:
    """The content of a `.pth` file, mapped from the disk; only tensors, containers and `argparse.Namespace`.

    torch doesn't check the CRC that a zip archive holds of each record: here it is, and so is `FILE.sha256` where it
    lies beside the file. Raises `UserError` for a file that is missing, cut off, damaged, or holds other objects.
    """
    path = pathlib.Path(path)
    existing_file(path, "checkpoint file")
    beside = pathlib.Path(f"{path}{CHECKSUM}")
    if beside.is_file() and beside.read_text(encoding="utf-8", errors="replace").split()[:1] != [sha256(path)]:
        raise UserError(f"{path}: damaged, or another file: its SHA-256 is not the one in {beside.name}")
    _check_archive(path)
    # Pickled beside the weights by the public training code: plain data. Kinds that the process allows already
    # (s3prl's checkpoints need them too) must stay allowed after the block.
    allowed = torch.serialization.get_safe_globals()
    ours = [kind for kind in (argparse.Namespace, pathlib.PosixPath) if kind not in allowed]
    try:
        with torch.serialization.safe_globals(ours):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # torch raises many unrelated types for a file it can't read
        # torch's own text advises weights_only=False, which would run foreign code: never shown, nor chained
        foreign = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        reason = (f"it holds '{foreign[1]}', which could run code; only tensors and plain settings are read" if foreign
                  else "its content can't be parsed")
    raise UserError(f"{path}: not a readable checkpoint, or cut off ({reason})")


def write_pth(path: str | pathlib.Path, content: dict[str, Any]) -> None:
    """Write a `.pth` file and its `FILE.sha256`, as `sha256sum --check` reads it."""
    path = pathlib.Path(path)
    pathlib.Path(f"{path}{CHECKSUM}").unlink(missing_ok=True)
    with atomic_open(path, "wb") as stream:
        torch.save(content, stream)
    write_text(f"{path}{CHECKSUM}", f"{sha256(path)}  {path.name}\n")


def read_safetensors(path: str | pathlib.Path, checksum: str | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file. Raises `UserError` for one that is missing, cut off or not of `checksum`."""
    path = pathlib.Path(path)
    existing_file(path, f"file: {path.parent} is no model directory, or an unfinished one")
    try:
        state = safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not readable as safetensors, or cut off ({error})") from error
    if checksum is not None and sha256(path) != checksum:
        raise UserError(f"{path}: damaged: its SHA-256 is not the one in config.json; copy or download it again")
    return state


def _check_archive(path: pathlib.Path) -> None:
    """Check the CRC of every record of a zip archive. The old format, which is none, has nothing to check."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as stream:
            if stream.read(2) == b"PK":
                raise UserError(f"{path}: not a readable checkpoint: cut off (the list of its records is missing)")
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, EOFError, ValueError, OSError) as error:
        raise UserError(f"{path}: not a readable checkpoint: damaged or cut off ({error})") from error
    if damaged is not None:
        raise UserError(f"{path}: damaged: the CRC of its record '{damaged}' is wrong; copy or download it again")
    if any(name.endswith(".pth") for name in names):
        raise UserError(f"{path}: an archive with a checkpoint in it: unpack it and give the folder")
