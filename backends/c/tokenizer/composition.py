"""Canonical composition, NFC, as the library does it: its tables, asked of the library itself.

    decompose   the full canonical decomposition of a code point
    class       the order of combining marks, numbered densely; 0 is a starter
    compose     the pairs that become one code point

Hangul syllables follow from arithmetic and are in no table.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from tokenizers import normalizers

from intcc.backends.c.tokenizer.table import Table, smallest
from intcc.backends.c.tokenizer.unicode import every_character

__all__ = ["compose_tables"]

#: Characters that the library is asked about at once.
_CHUNK = 1 << 10
_SYLLABLES = range(0xAC00, 0xD7A4)
#: Marks of the first and of the last combining class.
_FIRST, _LAST = "\u0334", "\u0345"


def _nfd(text: str) -> str:
    return str(normalizers.NFD().normalize_str(text))


def _nfc(text: str) -> str:
    return str(normalizers.NFC().normalize_str(text))


def _decomposed(before: str, after: str) -> Iterator[tuple[str, str]]:
    """Yield characters with the decomposition of each between two others, if it changes at all."""
    text = every_character().replace("\n", "")
    for start in range(0, len(text), _CHUNK):
        chunk = text[start : start + _CHUNK]
        given = before + f"{after}\n{before}".join(chunk) + after
        made = _nfd(given)
        if made != given:
            yield from zip(chunk, made.split("\n"), strict=True)


def _ranked(marks: list[str]) -> dict[str, int]:
    """Return the place of each mark's class in the order that the library sorts marks in."""
    classes: list[list[str]] = []
    for mark in marks:
        low, high = 0, len(classes)
        while low < high:
            middle = (low + high) // 2
            other = classes[middle][0]
            if _nfd(mark + other) != mark + other:
                low = middle + 1
            elif _nfd(other + mark) != other + mark:
                high = middle
            else:
                classes[middle].append(mark)
                break
        else:
            classes.insert(low, [mark])
    return {mark: place for place, same in enumerate(classes, 1) for mark in same}


@functools.cache
def compose_tables() -> list[Table]:
    """Return the tables of decomposition, order and composition."""
    full = {c: made for c, made in _decomposed("", "") if made != c and ord(c) not in _SYLLABLES}
    marks = {c for c, made in _decomposed("", _FIRST) if made == _FIRST + c}
    marks |= {c for c, made in _decomposed(_LAST, "") if made == c + _LAST}
    order = _ranked(sorted(marks))
    classes = np.zeros(0x110000, np.uint8)
    for mark, place in order.items():
        classes[ord(mark)] = place
    starts = np.concatenate([[0], np.flatnonzero(np.diff(classes)) + 1])
    pairs = []
    for c, made in full.items():
        first = _nfc(made[:-1])
        if len(first) == 1 and _nfc(c) == c and _nfc(first + made[-1]) == c:
            pairs.append((ord(first), ord(made[-1]), ord(c)))
    codes = [ord(c) for made in full.values() for c in made]
    ends = np.cumsum([0, *map(len, full.values())]).tolist()
    return [
        Table("decompose_code", np.array([ord(c) for c in full], np.uint32)),
        Table("decompose_start", smallest(ends)),
        Table("decompose_to", np.array(codes, np.uint32)),
        Table("class_start", starts.astype(np.uint32)),
        Table("class_of", classes[starts]),
        Table("compose_pairs", np.array(sorted(pairs), np.uint32)),
    ]
