"""Memory for generated C: bytes from the start of a cache line on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["aligned"]

_LINE = 64


def aligned(size: int) -> npt.NDArray[Any]:
    """Return `size` bytes of any value that start at a cache line."""
    raw = np.empty(size + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + size]
