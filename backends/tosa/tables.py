"""Look-ups of exact numbers: TABLE interpolates between its points, so each is used alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.graph import Tensor, Type
from intcc.backends.tosa.wide import clip
from intcc.interval import Interval

__all__ = ["look_up"]

Array = npt.NDArray[Any]
#: Points of one TABLE between the two that stand for everything outside.
_POINTS = 510
#: Largest entry of a TABLE.
_LARGEST = 2**15 - 1


def look_up(b: Builder, index: Tensor, entries: Array) -> Tensor:
    """Return entries[index] in int32; 0 <= index, and beyond the last entry there is its value.

    Entries of more than 15 bits are looked up in pieces of 15 bits.
    """
    numbers = [int(v) for v in entries]
    last = numbers[-1]
    rest = [v - last for v in numbers]
    while len(rest) > 1 and rest[-1] == 0:
        rest.pop()
    low = min(rest)
    if low < -_LARGEST - 1 or max(rest) > _LARGEST:
        assert low >= -(2**30)
        upper = [v >> 15 for v in rest]
        lower = [v & _LARGEST for v in rest]
        joined = b.add(b.shift_left(_points(b, index, upper), 15), _points(b, index, lower))
    else:
        joined = _points(b, index, rest)
    known = Interval.of(min(numbers), max(numbers))
    return b.add(joined, last, known) if last else b.bounded(joined, known)


def _points(b: Builder, index: Tensor, entries: list[int]) -> Tensor:
    """Sum of tables that are zero outside their own points."""
    total: Tensor | None = None
    for start in range(0, len(entries), _POINTS):
        part = entries[start : start + _POINTS]
        table = np.zeros(513, np.int64)
        table[1 : 1 + len(part)] = part
        place = clip(b, b.add(index, 1 - start - 256), -256, 255)
        narrow = b.rescale(place, Type.INT16, 1 << 30, 23)
        reach = Interval.of(128 * min(0, *part), 128 * max(0, *part))
        found = b.table16(narrow, table, reach)
        total = found if total is None else b.add(total, found)
    assert total is not None
    return b.shift_right(total, 7, rounded=False)
