"""Split zip archives (`x.z01`, `x.z02`, ..., `x.zip`), which Python's zipfile can't read: FSD50K comes as one.

Source of the format: PKWARE APPNOTE 6.3, sections 4.3.7, 4.3.12, 4.3.16 and 8.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from m2d.common.progress import progress

BLOCK = 1 << 20
STORED, DEFLATED = 0, 8


class Entry(NamedTuple):
    """One member: where its local header is (volume number, offset in it), and how its content is packed."""

    name: str
    volume: int
    offset: int
    method: int
    packed_size: int
    crc: int


class Volumes:
    """The volumes read as one stream of bytes."""

    def __init__(self, paths: Sequence[str | Path]):
        self.paths = [Path(path) for path in paths]
        self.sizes = [path.stat().st_size for path in self.paths]

    def read(self, volume: int, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` in `volume` on, over the ends of volumes; `BadZipFile` past the last."""
        parts = []
        while size:
            while volume < len(self.sizes) and offset >= self.sizes[volume]:
                volume, offset = volume + 1, offset - self.sizes[volume]
            if volume >= len(self.sizes):
                raise zipfile.BadZipFile("a volume is missing or cut off")
            with open(self.paths[volume], "rb") as stream:
                stream.seek(offset)
                block = stream.read(size)
            parts.append(block)
            size, offset = size - len(block), offset + len(block)
        return b"".join(parts)

    def entries(self) -> Iterator[Entry]:
        """The members, from the central directory; `zipfile.BadZipFile` for volumes that do not belong together."""
        last = len(self.sizes) - 1
        tail_at = max(0, self.sizes[last] - 65557)  # the end record and its longest comment
        tail = self.read(last, tail_at, self.sizes[last] - tail_at)
        at = tail.rfind(b"PK\5\6")
        if at < 0:
            raise zipfile.BadZipFile("the last volume has no end record")
        number, first, _, count, length, offset = struct.unpack_from("<4H2I", tail, at + 4)
        if number != last or first > last:
            raise zipfile.BadZipFile(f"{last + 1} volumes are given, the archive has {number + 1}")
        directory, position = self.read(first, offset, length), 0
        for _ in range(count):
            signature, flags, method, crc, packed, names, extra, comment, volume, local = struct.unpack_from(
                "<4s4xHH4xII4xHHHH6xI", directory, position)
            if signature != b"PK\1\2" or flags & 1 or packed == 0xFFFFFFFF:
                raise zipfile.BadZipFile("the central directory is broken, encrypted, or of the 64-bit kind")
            name = directory[position + 46:position + 46 + names]
            yield Entry(name.decode("utf-8" if flags & 0x800 else "cp437"), volume, local, method, packed, crc)
            position += 46 + names + extra + comment

    def content(self, entry: Entry) -> Iterator[bytes]:
        """The unpacked content of a member, in blocks. Raises `zipfile.BadZipFile` where it fails its checksum."""
        header = self.read(entry.volume, entry.offset, 30)
        if header[:4] != b"PK\3\4" or entry.method not in (STORED, DEFLATED):
            raise zipfile.BadZipFile(f"'{entry.name}' can't be read")
        names, extra = struct.unpack_from("<HH", header, 26)
        offset, left, crc = entry.offset + 30 + names + extra, entry.packed_size, 0
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        while left:
            block = self.read(entry.volume, offset, min(left, BLOCK))
            offset, left = offset + len(block), left - len(block)
            block = block if entry.method == STORED else inflate.decompress(block)
            crc = zlib.crc32(block, crc)
            yield block
        rest = inflate.flush()
        if zlib.crc32(rest, crc) != entry.crc:
            raise zipfile.BadZipFile(f"'{entry.name}' fails its checksum")
        yield rest


def unpack_volumes(paths: Sequence[str | Path], folder: Path) -> None:
    """Unpack all members into `folder`. Raises `zipfile.BadZipFile` for what is broken or would leave the folder."""
    volumes = Volumes(paths)
    for entry in progress(list(volumes.entries()), f"unpacking {volumes.paths[-1].name}"):
        path = member_path(folder, entry.name)
        if entry.name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as stream:
            stream.writelines(volumes.content(entry))


def member_path(folder: Path, name: str) -> Path:
    """Where a member of a zip goes. Raises `zipfile.BadZipFile` for a name that would leave the folder."""
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or ":" in name.split("/")[0]:
        raise zipfile.BadZipFile(f"member '{name}' would be written outside the folder")
    return folder.joinpath(*pure.parts)
