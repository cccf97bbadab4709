"""Divisors: whole numbers that sums are divided by on their way to bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["odd_divisor"]


def odd_divisor(ratio: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the odd integers nearest to `ratio`, at least one."""
    return np.maximum(2 * np.floor(np.asarray(ratio) / 2).astype(np.int64) + 1, 1)
