"""One array of constant data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Table", "smallest"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Table:
    """Constant data: an array of integers, or bytes (int8 stands for unsigned char)."""

    name: str
    data: Array


def smallest(values: Sequence[int]) -> Array:
    """Return an array of the narrowest unsigned type of 16 or 32 bits."""
    return np.array(values, np.uint16 if max(values, default=0) < 1 << 16 else np.uint32)
