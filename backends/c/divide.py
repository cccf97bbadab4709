"""Division by constants as a product and a shift, proved exact.

    t // divisor[j] == (t * mul[j]) >> shift        for all 0 <= t <= limit[j]

with mul = ceil(2**shift / divisor), which is exact when (mul * divisor - 2**shift) * limit is
below 2**shift (Granlund and Montgomery 1994; see `intcc.dyadic.floor_division_magic` for one
divisor). Here all channels of a layer share one shift where that is possible.

Constraints
    (C1) mul < 2**32, t * mul < 2**64
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Division", "division", "scaling"]

Array = npt.NDArray[Any]
_LARGEST = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Division:
    """How a layer divides.

    Attributes:
        mul: uint32 multipliers, one or one per channel; None where a shift alone is exact.
        shift: the common shift, or uint8 shifts per channel.
        narrow: every product fits 32 bits.
    """

    mul: Array | None
    shift: int | Array
    narrow: bool = False


def _fits(divisor: Array, limit: Array, shift: int) -> tuple[Array, Array]:
    """Return the multipliers for one shift, and whether each is exact and fits."""
    power = np.int64(1) << np.int64(shift)
    mul = -(-power // divisor)
    error = mul * divisor - power
    # error < divisor <= 2**31 and limit < 2**31, so the product fits int64.
    exact = error * np.maximum(limit, 1) < power
    fits = (mul < 2**32) & (limit.astype(np.float64) * mul < 2.0**63)
    return mul, exact & fits


def division(divisor: Array, limit: Array) -> Division:
    """Return the cheapest exact form.

    Args:
        divisor: one or one per channel, >= 1.
        limit: largest dividend per channel; clipped to [0, 2**31).
    """
    d = np.atleast_1d(divisor).astype(np.int64)
    top = np.clip(np.broadcast_to(np.asarray(limit, np.int64), d.shape), 0, _LARGEST)
    if (d == d[0]).all():
        if int(d[0]) & (int(d[0]) - 1) == 0:
            return Division(None, int(d[0]).bit_length() - 1)
        d, top = d[:1], top.max(keepdims=True)
    for shift in range(32):
        mul, good = _fits(d, top, shift)
        if good.all() and (top * mul < 2**32).all():
            return Division(mul.astype(np.uint32), shift, narrow=True)
    shifts = np.zeros(d.shape, np.int64)
    muls = np.zeros(d.shape, np.int64)
    # A shift of 32 is only a choice of register on most machines, so it is tried first.
    for shift in (32, *range(33, 63), *range(31, -1, -1)):
        mul, good = _fits(d, top, shift)
        if good.all():
            return Division(mul.astype(np.uint32), shift)
        fresh = good & (muls == 0)
        shifts[fresh], muls[fresh] = shift, mul[fresh]
    assert (muls > 0).all(), "31-bit dividends have a 32-bit multiplier"
    return Division(muls.astype(np.uint32), shifts.astype(np.uint8))


def scaling(up: int, down: int, limit: int) -> tuple[int, int] | None:
    """Return mul and a power of two with x * up // down == x * mul // power for 0 <= x <= limit.

    Products stay below 2**31. With error = mul * down - up * power, x * mul / power exceeds
    x * up / down by x * error / (power * down): below 1 / down, what is left of a whole number,
    where limit * error < power.

    Args:
        up: factor, >= 0.
        down: divisor, >= 1.
        limit: largest x.

    Returns:
        None where no such numbers are exact.
    """
    for shift in range(31):
        power = 1 << shift
        mul = -(-up * power // down)
        if limit * mul <= _LARGEST and limit * (mul * down - up * power) < power:
            return mul, power
    return None
