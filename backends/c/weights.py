"""Constant data as C, or as a file of bytes that the assembler takes in.

A compiler needs 25 times the memory of a large array, and seconds for every 3 MB of it; an
assembler copies a file. So with "section" weights and tables lie in <name>_weights.bin, little
endian, one array behind the other, each at a multiple of the alignment, and <name>_weights.c names
the places; they end up in a read-only section, which a system maps instead of reading it. Numbers
per channel stay C.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from intcc.backends.c.program import Program, Storage
from intcc.backends.c.render import render
from intcc.backends.c.target import Target
from intcc.backends.c.text import definition
from intcc.errors import SettingsError

__all__ = ["LARGE", "WEIGHTS", "Placed", "place", "write_weights"]

#: Forms of constant data.
WEIGHTS = ("c", "section")
#: Bytes from which on hosts get a section where nobody says.
LARGE = 16 << 20
#: Bytes of a large page, with which a section of as many bytes begins.
PAGE = 2 << 20


class Placed(NamedTuple):
    """An array in the file of bytes: its storage, its first byte and its size."""

    storage: Storage
    offset: int
    size: int


def place(program: Program, target: Target, weights: str | None) -> tuple[Placed, ...]:
    """Return the arrays that lie in the file of bytes; none where all data is C.

    Args:
        program: the model.
        target: its machine.
        weights: one of WEIGHTS; None: by the size, for targets that have sections.

    Raises:
        SettingsError: no such form, or the target has no sections of its own.
    """
    if weights not in (None, *WEIGHTS):
        raise SettingsError(
            f"Form '{weights}' of weights", "does not exist", f"Known: {', '.join(WEIGHTS)}"
        )
    if weights == "section" and not target.section:
        raise SettingsError(
            f"Target '{target.name}'", "keeps its weights in C", "Compile with --weights c"
        )
    places, end = [], 0
    for storage in program.constants:
        if not storage.hot:
            size = storage.bytes_at(1)
            places.append(Placed(storage, end, size))
            end = program.aligned(end + size)
    wanted = weights == "section" or (weights is None and target.section and end >= LARGE)
    return tuple(places) if wanted else ()


def write_weights(
    program: Program, placed: Sequence[Placed], context: Mapping[str, Any], folder: Path
) -> None:
    """Write <name>_weights.c and, for what is placed in it, <name>_weights.bin."""
    path = folder / f"{program.name}_weights.c"
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(_source(program, placed, context))
    if placed:
        with path.with_suffix(".bin").open("wb") as binary:
            for storage, offset, _ in placed:
                assert storage.data is not None
                binary.write(bytes(offset - binary.tell()))
                binary.write(storage.data.astype(storage.dtype.newbyteorder("<")).tobytes())


def _source(
    program: Program, placed: Sequence[Placed], context: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the C in pieces: a large model's is larger than its weights."""
    size = placed[-1].offset + placed[-1].size if placed else 0
    more = {"placed": placed, "page": PAGE if size >= PAGE else 0}
    yield render("weights.c", {**context, **more}).rstrip("\n")
    elsewhere = {p.storage for p in placed}
    for storage in program.constants:
        if storage not in elsewhere:
            yield "\n\n"
            yield from definition(storage, program.name.upper())
    yield "\n"
