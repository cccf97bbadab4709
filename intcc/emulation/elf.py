"""ELF files: the bytes of a section by its name."""

from __future__ import annotations

import struct
from pathlib import Path

__all__ = ["section"]


def section(path: Path, name: str) -> bytes:
    """Return the contents of a section of a little-endian ELF file, empty if it has none.

    Args:
        path: the file.
        name: of the section.
    """
    data = path.read_bytes()
    wide = data[4] == 2
    # Offset of the section headers; their size, number, and which one holds the names.
    start = struct.unpack_from("<Q" if wide else "<I", data, 0x28 if wide else 0x20)[0]
    size, count, names = struct.unpack_from("<3H", data, 0x3A if wide else 0x2E)

    def header(index: int) -> tuple[int, int, int]:
        at = start + index * size
        label = struct.unpack_from("<I", data, at)[0]
        body = struct.unpack_from("<2Q" if wide else "<2I", data, at + (0x18 if wide else 0x10))
        return label, body[0], body[1]

    labels = header(names)[1]
    wanted = name.encode() + b"\0"
    for index in range(count):
        label, offset, length = header(index)
        if data[labels + label : labels + label + len(wanted)] == wanted:
            return data[offset : offset + length]
    return b""
