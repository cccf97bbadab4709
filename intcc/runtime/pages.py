"""Constant data of a loaded library in large pages, where the system has them.

What a loader maps from a file lies in pages of 4 KB, but for luck. A processor looks up an address
for each of them, and stops fetching ahead where it ends: to read weights once takes a quarter
longer than from pages of 2 MB. So the data is copied to memory that has such pages, and that memory
is put where the data was. Processes then no longer share it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
from pathlib import Path

__all__ = ["LARGE", "enlarge"]

#: Bytes of a large page.
LARGE = 2 << 20
#: Where Linux says whether programs get large pages, and what it maps where.
_POLICY, _MAPS = Path("/sys/kernel/mm/transparent_hugepage/enabled"), Path("/proc/self/maps")
#: mremap: to the address that is given, whatever was there.
_MOVE, _FIXED = 1, 2


def enlarge(library: ctypes.CDLL) -> int:
    """Move the constant data of a library to large pages.

    Addresses and bytes stay as they are, also while other threads read them. A system without large
    pages, or without memory for them, leaves everything as it was.

    Args:
        library: loaded from a file.

    Returns:
        Bytes that were moved: whole large pages of what is mapped for reading alone.
    """
    if "[never]" in _text(_POLICY) or not hasattr(mmap, "MADV_HUGEPAGE"):
        return 0
    return sum(_moved(start, end) for start, end in _readable(os.path.realpath(library._name)))


def _text(path: Path) -> str:
    """Return a file's text; a system without the file has no large pages."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return "[never]"


def _readable(path: str) -> list[tuple[int, int]]:
    """Return the whole large pages of what is mapped of a file for reading alone."""
    form = rf"^([0-9a-f]+)-([0-9a-f]+) r--p .* {re.escape(path)}$"
    found = ((int(a, 16), int(b, 16)) for a, b in re.findall(form, _text(_MAPS), re.MULTILINE))
    inner = ((-(-start // LARGE) * LARGE, end // LARGE * LARGE) for start, end in found)
    return [(start, end) for start, end in inner if start < end]


def _moved(start: int, end: int) -> int:
    """Put a copy of [start, end) in its place; return its bytes, 0 where there is no memory."""
    system = ctypes.CDLL(None)
    word, number = ctypes.c_size_t, ctypes.c_int
    system.mmap.restype = system.mremap.restype = word
    system.mmap.argtypes = [word, word, number, number, number, ctypes.c_long]
    system.mremap.argtypes = [word, word, word, number, word]
    system.madvise.argtypes = system.mprotect.argtypes = [word, word, number]
    system.munmap.argtypes = [word, word]
    failed, size = word(-1).value, end - start
    access, kind = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    space = system.mmap(0, size + LARGE, access, kind, -1, 0)
    if space == failed:
        return 0
    copy = -(-space // LARGE) * LARGE
    system.madvise(copy, size, mmap.MADV_HUGEPAGE)
    ctypes.memmove(copy, start, size)
    system.mprotect(copy, size, mmap.PROT_READ)
    moved = system.mremap(copy, size, size, _MOVE | _FIXED, start) != failed
    end_of_space = space + size + LARGE
    rest = [(space, copy), (copy + size, end_of_space)] if moved else [(space, end_of_space)]
    for a, b in rest:
        if a < b:
            system.munmap(a, b - a)
    return size if moved else 0
