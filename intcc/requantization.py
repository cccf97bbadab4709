"""Requantization as QLinear operators do it, in float32, beside an exact division.

    exact   y = clip(floor((u + (d - 1) / 2) / d) + zero, 0, 255)     u int32, d odd: no ties
    float   y = clip(rint(f32(f32(u) * s)) + zero, 0, 255)            s = f32(1 / d)

Neither ever falls while u grows. So they agree on all u if they agree on both sides of every step
of the exact one, u = m d + (d - 1) / 2 and the next, of which there are 255.

A quotient |q| < 256 is off by at most |q| / 2**24 from s, and by half a unit in its last place,
2**-17, from the product: by less than 1.5 / 2**16. No u / d lies closer than 1 / (2 d) to a half,
so for d < 2**14 nothing differs. f32(u) is exact there: |u| < 2**22. Nor does anything differ for
larger d where |u| < 2**22, since the error is at most 2 |q| / 2**24 = (|u| / 2**22) / (2 d).

Where d is a power of two, u = m d + d / 2 is a tie: the exact one goes up, the float one to even.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LARGEST_DIVISOR", "differing", "scale_of"]

#: Divisors up to this one give the same bits in float32, for every accumulator and zero point.
LARGEST_DIVISOR = 2**14 - 1

Ints = npt.NDArray[np.int64]


def scale_of(divisor: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the float32 numbers nearest to 1 / divisor: dyadic, as all of float32 are."""
    return np.asarray(1.0 / divisor.astype(np.float64), np.float32)


def differing(divisor: npt.NDArray[Any], zero: int, least: Ints, most: Ints) -> Ints:
    """Count the accumulators whose float32 requantization differs from the exact one.

    Args:
        divisor: odd or a power of two, one per channel.
        zero: zero point of the output, 0 to 255.
        least: smallest accumulator of each channel, its bias included.
        most: largest of each.

    Returns:
        The number of such u in [least, most], per channel.
    """
    counts = np.zeros(len(divisor), np.int64)
    for channel in np.flatnonzero((divisor > LARGEST_DIVISOR) | (divisor % 2 == 0)):
        d = int(divisor[channel])
        below = np.arange(-zero, 255 - zero, dtype=np.int64)
        exact = below * d + (d + 1) // 2
        rounded = _first_above(below, exact, scale_of(divisor[channel : channel + 1]))
        lo, hi = int(least[channel]), int(most[channel]) + 1
        counts[channel] = np.abs(np.clip(exact, lo, hi) - np.clip(rounded, lo, hi)).sum()
    return counts


def _first_above(below: Ints, exact: Ints, scale: npt.NDArray[np.float32]) -> Ints:
    """Return the smallest u whose float quotient rounds to more than `below`, by bisection."""
    reach = np.abs(exact) // 2**20 + 2
    low, high = exact - reach, exact + reach
    while (high - low > 1).any():
        middle = (low + high) // 2
        above: npt.NDArray[np.bool_] = np.rint(middle.astype(np.float32) * scale) > below
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.asarray(high, np.int64)
