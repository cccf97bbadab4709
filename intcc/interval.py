"""Exact integer intervals: the language in which ranges are proved.

Bounds are arrays of Python integers (dtype object), of shape () or (channels,) along the last
axis of the value, so no bound can overflow while it is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.errors import RangeProofError

__all__ = ["INT32", "UINT8", "Interval", "Operand", "require_fits"]

Bound = npt.NDArray[np.object_]


def _exact(x: Any) -> Bound:
    array = np.asarray(x)
    flat = np.array([int(v) for v in array.ravel().tolist()], dtype=object)
    return flat.reshape(array.shape)


@dataclass(frozen=True)
class Interval:
    """All integers from `lo` to `hi`, both included; per channel where the bounds are arrays."""

    lo: Bound
    hi: Bound

    def __post_init__(self) -> None:
        """Keep arrays: numpy turns results of rank 0 into plain numbers."""
        object.__setattr__(self, "lo", np.asarray(self.lo, dtype=object))
        object.__setattr__(self, "hi", np.asarray(self.hi, dtype=object))

    @classmethod
    def of(cls, lo: Any, hi: Any) -> Interval:
        """Build from numbers or arrays."""
        return cls(_exact(lo), _exact(hi))

    @classmethod
    def symmetric(cls, magnitude: Any) -> Interval:
        """Return [-magnitude, magnitude]."""
        high = _exact(magnitude)
        return cls(-high, high)

    @classmethod
    def of_constant(cls, array: npt.NDArray[Any]) -> Interval:
        """Return the tightest scalar interval that holds every element of `array`."""
        return cls.of(int(array.min()), int(array.max())) if array.size else cls.of(0, 0)

    @property
    def min(self) -> int:
        """Smallest value over all channels."""
        return int(self.lo.min())

    @property
    def max(self) -> int:
        """Largest value over all channels."""
        return int(self.hi.max())

    @property
    def magnitude(self) -> int:
        """Largest absolute value over all channels."""
        return max(abs(self.min), abs(self.max))

    def __add__(self, other: Interval | int) -> Interval:
        """Sum of two independent values."""
        o = other if isinstance(other, Interval) else Interval.of(other, other)
        return Interval(self.lo + o.lo, self.hi + o.hi)

    def __neg__(self) -> Interval:
        """Negation."""
        return Interval(-self.hi, -self.lo)

    def __sub__(self, other: Interval | int) -> Interval:
        """Difference of two independent values."""
        return self + (-other)

    def __mul__(self, other: Interval | int) -> Interval:
        """Product of two independent values."""
        o = other if isinstance(other, Interval) else Interval.of(other, other)
        # Stacked as objects: numpy turns products of rank 0 into plain numbers, then into int64.
        ends = (self.lo * o.lo, self.lo * o.hi, self.hi * o.lo, self.hi * o.hi)
        p = np.stack([np.asarray(end, dtype=object) for end in ends])
        return Interval(p.min(0), p.max(0))

    def hull(self, other: Interval) -> Interval:
        """Return the smallest interval that holds both."""
        return Interval(np.minimum(self.lo, other.lo), np.maximum(self.hi, other.hi))

    def clip(self, lo: int, hi: int) -> Interval:
        """Return the interval after saturation to [lo, hi]."""
        return Interval(
            np.minimum(np.maximum(self.lo, lo), hi), np.minimum(np.maximum(self.hi, lo), hi)
        )

    def scalar(self) -> Interval:
        """Return the hull over all channels."""
        return Interval.of(self.min, self.max)

    def fits(self, other: Interval) -> bool:
        """Tell whether every value lies inside `other`."""
        return bool(other.min <= self.min and self.max <= other.max)


INT32 = Interval.of(-(2**31), 2**31 - 1)
INT64 = Interval.of(-(2**63), 2**63 - 1)
UINT8 = Interval.of(0, 255)


@dataclass(frozen=True)
class Operand:
    """What a proof knows of an operator's input.

    Attributes:
        interval: every element lies in it.
        shape: the largest extent of each dimension (symbolic dimensions at their maximum).
        constant: the elements themselves where they are known at compile time.
    """

    interval: Interval
    shape: tuple[int, ...]
    constant: npt.NDArray[Any] | None = None

    @classmethod
    def of_constant(cls, array: npt.NDArray[Any]) -> Operand:
        """Wrap a compile-time array."""
        return cls(Interval.of_constant(array), array.shape, array)

    @property
    def value(self) -> npt.NDArray[Any]:
        """The constant; an AssertionError when the operand is none."""
        assert self.constant is not None, "operand must be a constant"
        return self.constant


def require_fits(interval: Interval, limit: Interval, what: str) -> None:
    """Raise RangeProofError unless `interval` lies inside `limit`."""
    if not interval.fits(limit):
        raise RangeProofError(
            what,
            f"ranges over [{interval.min}, {interval.max}], "
            f"outside its type's [{limit.min}, {limit.max}]",
            "Use smaller weights or a shorter --max-length, or report the model to us",
        )
