"""QParams: how a float value is stored in unsigned 8 bits.

    x = (q - zero) * scale        lo <= q <= hi, all inside [0, 255]

`scale` and `zero` are scalars or vectors along the last axis. One float value may be stored in
several ways at once, one per role that its consumers ask for (`Role`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["QParams", "Role"]

Float = npt.NDArray[np.float64]


class Role(StrEnum):
    """What a consumer needs the value for; each role has its own constraints.

    LINEAR   left side of a product with constant weights: any scale, any zero, 0..255
    QUERY    7 bits around 64, so that its products with 8-bit keys stay pair-safe
    KEY      symmetric around 128, -127..127, so that it converts to int8 by a subtraction
    VALUE    as KEY
    GELU     the zero point is the knee of the integer GELU
    """

    LINEAR = "linear"
    QUERY = "query"
    KEY = "key"
    VALUE = "value"
    GELU = "gelu"


@dataclass(frozen=True, eq=False)
class QParams:
    """Scale, zero point and limits of an unsigned 8-bit form.

    Attributes:
        scale: real size of one step, > 0; shape () or (channels,).
        zero: stored number that means 0.0, an integer except for inputs whose float form was
            normalised with a mean; shape () or (channels,).
        lo: smallest stored integer in use.
        hi: largest stored integer in use.
    """

    scale: Float
    zero: Float
    lo: int = 0
    hi: int = 255

    @classmethod
    def of(cls, scale: Any, zero: Any, lo: int = 0, hi: int = 255) -> QParams:
        """Build from numbers or arrays."""
        return cls(np.asarray(scale, np.float64), np.asarray(zero, np.float64), lo, hi)

    @classmethod
    def affine(cls, low: float, high: float, divisors: Any = 1.0) -> QParams:
        """Cover [low, high] * divisors with 0..255; the range is widened to hold 0."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max(high - low, 1e-30) / 255
        zero = int(np.clip(np.rint(-low / scale), 0, 255))
        return cls.of(np.asarray(divisors, np.float64) * scale, zero)

    def quantize(self, x: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Return the stored integers of real values: round half up, saturate."""
        q = np.floor(np.asarray(x, np.float64) / self.scale + self.zero + 0.5)
        return np.clip(q, self.lo, self.hi).astype(np.uint8)

    def dequantize(self, q: npt.NDArray[Any]) -> Float:
        """Return the real values of stored integers."""
        return (np.asarray(q, np.float64) - self.zero) * self.scale

    def real_bounds(self) -> tuple[Float, Float]:
        """Return the smallest and the largest representable real value."""
        return (self.lo - self.zero) * self.scale, (self.hi - self.zero) * self.scale
