"""Memory for generated C: bytes from the start of a cache line on."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Recycled", "aligned"]

_LINE = 64


class Recycled:
    """Memory of one size for users that come and go.

    A system clears new pages at their first touch, which costs a text's first call some percent;
    so what the last user leaves is given to the next.
    """

    def __init__(self, size: int) -> None:
        """Begin with no memory."""
        self._size, self._left = size, list[npt.NDArray[Any]]()

    def take(self) -> npt.NDArray[Any]:
        """Return `size` bytes of any value from the start of a cache line on.

        They are the caller's for as long as the array itself is held; parts of it do not count.
        """
        try:
            memory = self._left.pop()
        except IndexError:
            memory = aligned(self._size)
        lent = memory[:]
        weakref.finalize(lent, _keep, self._left, memory).atexit = False
        return lent


def _keep(left: list[npt.NDArray[Any]], memory: npt.NDArray[Any]) -> None:
    """Keep one piece: as many users at once as there were may never come again."""
    if not left:
        left.append(memory)


def aligned(size: int) -> npt.NDArray[Any]:
    """Return `size` bytes of any value that start at a cache line."""
    raw = np.empty(size + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + size]
