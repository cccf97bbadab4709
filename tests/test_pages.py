"""Constant data in large pages: what moves, what stays, and that nothing reads differently."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from intcc.runtime import pages
from intcc.runtime.compiler import find_compiler, shared_library
from intcc.runtime.pages import LARGE, enlarge

#: What has room for whole large pages wherever it begins.
SIZE = 3 * LARGE


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ctypes.CDLL:
    """A library of its own for each test: what has moved stays moved."""
    monkeypatch.setenv("INTCC_CACHE", str(tmp_path))
    data = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)
    (tmp_path / "data.bin").write_bytes(data.tobytes())
    source = tmp_path / "data.c"
    source.write_text(
        '__asm__(".section .rodata.data,\\"a\\",%progbits\\n.globl data\\ndata:\\n"'
        f' ".incbin \\"{tmp_path / "data.bin"}\\"\\n.previous");\nint nothing(void);\n'
        "int nothing(void)\n{\n    return 0;\n}\n"
    )
    return shared_library([source], [tmp_path / "data.bin"], find_compiler(), ["-O1"])


def content(library: ctypes.CDLL) -> tuple[int, bytes]:
    """Return where the data lies, and the data."""
    data = (ctypes.c_char * SIZE).in_dll(library, "data")
    return ctypes.addressof(data), bytes(data)


def moves() -> bool:
    """Tell whether this system has large pages."""
    return "[never]" not in pages._text(pages._POLICY)


def test_bytes_and_address_stay(library: ctypes.CDLL) -> None:
    before = content(library)
    moved = enlarge(library)
    assert content(library) == before
    assert moved in ((LARGE * 2, LARGE * 3) if moves() else (0,))


def test_file_is_no_longer_mapped_there(library: ctypes.CDLL) -> None:
    moved = enlarge(library)
    start = -(-content(library)[0] // LARGE) * LARGE
    line = next(x for x in maps() if x[0] <= start < x[1])
    assert line[2].startswith("r--p")
    assert line[2].endswith(library._name) == (moved == 0)
    assert enlarge(library) == 0


def maps() -> list[tuple[int, int, str]]:
    """Return begin, end and the rest of all mappings; one of everything where nobody says."""
    found = []
    for line in pages._text(pages._MAPS).splitlines():
        if "-" in line.split(" ")[0]:
            span, _, rest = line.partition(" ")
            start, end = (int(x, 16) for x in span.split("-"))
            found.append((start, end, rest))
    return found


def test_systems_without_large_pages_are_left_alone(
    library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy = tmp_path / "enabled"
    monkeypatch.setattr(pages, "_POLICY", policy)
    assert enlarge(library) == 0
    policy.write_text("always madvise [never]\n")
    assert enlarge(library) == 0


def test_without_memory_everything_stays(
    library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(library)
    # More than there are addresses.
    monkeypatch.setattr(pages, "LARGE", 1 << 62)
    assert pages._moved(before[0], before[0] + 4096) == 0
    assert content(library) == before


@pytest.mark.parametrize("moves", [True, False])
def test_what_is_not_used_is_given_back(moves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing beside it, also where the copy cannot be moved."""
    space, size, start = 5 * LARGE + 4096, 2 * LARGE, 90 * LARGE
    given: list[tuple[int, int]] = []

    answers: dict[str, Callable[..., Any]] = {
        "mmap": lambda *_: space,
        "madvise": lambda *_: 0,
        "mprotect": lambda *_: 0,
        "mremap": lambda *a: a[-1] if moves else ctypes.c_size_t(-1).value,
        "munmap": lambda at, count: given.append((at, at + count)),
    }
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(**answers))
    monkeypatch.setattr(ctypes, "memmove", lambda *_: None)
    assert pages._moved(start, start + size) == (size if moves else 0)
    copy, end = 6 * LARGE, space + size + LARGE
    assert given == ([(space, copy), (copy + size, end)] if moves else [(space, end)])
