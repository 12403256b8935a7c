"""Reproducible Ogg files: libsndfile takes the stream's serial number from the clock."""

import struct
from pathlib import Path

POLYNOMIAL = 0x04C11DB7  # of Ogg's page checksum (RFC 3533, section 6)
SERIAL = 1


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ (POLYNOMIAL if value & 1 << 31 else 0)) & 0xFFFFFFFF
        table.append(value)
    return table


TABLE = _table()


def fix_serial(path: str | Path) -> None:
    """Set the serial number of an Ogg file's only stream to 1, and update the checksums of its pages."""
    data, at = bytearray(Path(path).read_bytes()), 0
    while at < len(data):
        segments = data[at + 26]
        end = at + 27 + segments + sum(data[at + 27:at + 27 + segments])
        struct.pack_into("<I", data, at + 14, SERIAL)
        struct.pack_into("<I", data, at + 22, 0)
        struct.pack_into("<I", data, at + 22, checksum(data[at:end]))
        at = end
    Path(path).write_bytes(data)


def checksum(page: bytes) -> int:
    """CRC-32 of a page whose own checksum field is zero: not reflected, begun at 0."""
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFF00) ^ TABLE[value >> 24 ^ byte]
    return value
