"""Dyadic numbers mul / 2**shift: the only scales that compiled integers know.

    rsh(x, s)   = (x + 2**(s-1)) >> s             arithmetic, ties towards +infinity, s >= 1
    rescale(x)  = rsh(x * mul, shift)             0 <= mul < 2**31, 2 <= shift <= 62

One rounding, as TOSA RESCALE without double rounding. Python integers only: exact at any size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

__all__ = [
    "Dyadic",
    "floor_division_magic",
    "rounding_division_magic",
    "rsh",
    "saturated_quotient_magic",
]

MAX_MUL_BITS = 31
MIN_SHIFT, MAX_SHIFT = 2, 62


def rsh(x: int, shift: int) -> int:
    """Return x / 2**shift rounded half up: (x + 2**(shift-1)) >> shift."""
    return (x + (1 << (shift - 1))) >> shift if shift else x


@dataclass(frozen=True)
class Dyadic:
    """A real scale mul / 2**shift.

    Attributes:
        mul: integer multiplier, 0 <= mul < 2**31.
        shift: right shift, 2 <= shift <= 62.
    """

    mul: int
    shift: int

    @classmethod
    def from_real(cls, value: float, bits: int = MAX_MUL_BITS) -> Dyadic:
        """Return the nearest dyadic number whose multiplier has at most `bits` bits.

        Relative error <= 2**-bits, unless the shift limits of TOSA cut it short.

        Raises:
            ValueError: `value` is negative, not finite, or at least 2**29.
        """
        if not (math.isfinite(value) and 0 <= value < 2.0**29):
            raise ValueError(f"no dyadic form for {value}")
        if value == 0:
            return cls(0, MIN_SHIFT)
        exponent = math.frexp(value)[1]
        shift = min(MAX_SHIFT, max(MIN_SHIFT, bits - exponent))
        mul = int(Fraction(value) * (1 << shift) + Fraction(1, 2))
        if mul >> bits:  # frexp's mantissa rounded up to a power of two
            shift, mul = shift - 1, mul >> 1
        while mul and mul % 2 == 0 and shift > MIN_SHIFT:
            mul, shift = mul >> 1, shift - 1
        return cls(mul, shift)

    def apply(self, x: int) -> int:
        """Return rsh(x * mul, shift), exactly."""
        return rsh(x * self.mul, self.shift)

    def __float__(self) -> float:
        """Return the real value."""
        return math.ldexp(self.mul, -self.shift)


def floor_division_magic(divisor: int, limit: int) -> Dyadic:
    """Return (mul, shift) with (t * mul) >> shift == t // divisor for all 0 <= t <= limit.

    Granlund and Montgomery, "Division by invariant integers using multiplication" (1994):
    with mul = ceil(2**shift / divisor) and e = mul * divisor - 2**shift it suffices that
    e * limit < 2**shift. The smallest such shift is returned, so that mul stays short.

    Raises:
        ValueError: divisor < 1, limit < 0, or the product t * mul could pass 2**63.
    """
    if divisor < 1 or limit < 0:
        raise ValueError(f"no magic for divisor {divisor}, limit {limit}")
    for shift in range(63):
        mul = -(-(1 << shift) // divisor)
        if (mul * divisor - (1 << shift)) * max(limit, 1) < (1 << shift):
            if limit * mul >= 1 << 63:
                break
            return Dyadic(mul, shift)
    raise ValueError(f"no magic for divisor {divisor}, limit {limit}")


def rounding_division_magic(
    divisor: int, offset: int, least: int, most: int, *, saturated: bool = False
) -> Dyadic | None:
    """Return (mul, shift) with rsh((t + offset) * mul, shift) == t // divisor.

    That holds for every t whose quotient lies in [least, most]. With `saturated` it holds for what
    both sides are when they are held in [least, most], for every t. mul is as long as 31 bits
    allow, as TOSA wants it.

    Both sides never decrease in t, so they are equal when the result reaches k at t = k * divisor
    and not one earlier. Either condition is linear in k, so it holds in between when it holds at
    both ends.

    Args:
        divisor: 1 <= divisor < 2**31.
        offset: about -divisor / 2, where ties are out of the way.
        least: smallest quotient.
        most: largest quotient.
        saturated: whether quotients below `least` and above `most` only have to stay there.

    Returns:
        None where no multiplier of 31 bits is exact.
    """
    shift = min(MAX_SHIFT, MAX_MUL_BITS - 1 + divisor.bit_length())
    while shift > MIN_SHIFT and ((2 << shift) + divisor) // (2 * divisor) >= 1 << MAX_MUL_BITS:
        shift -= 1
    half = 1 << (shift - 1)
    nearest = ((2 << shift) + divisor) // (2 * divisor)
    first, last = (least + 1, most) if saturated else (least, most + 1)
    reached = [k for k in (first, most) if first <= most]
    not_earlier = [k for k in (least + 1, last) if least < last]
    for mul in (nearest, nearest + 1, nearest - 1):
        if (
            0 <= mul < 1 << MAX_MUL_BITS
            and all((k * divisor + offset) * mul + half >= k << shift for k in reached)
            and all((k * divisor - 1 + offset) * mul + half < k << shift for k in not_earlier)
        ):
            return Dyadic(mul, shift)
    return None


def saturated_quotient_magic(
    divisor: int, least: int, most: int, lo: int, hi: int, middle: int = 0
) -> Dyadic | None:
    """Return (mul, shift) by which a rescale is a saturated division.

        clip(rsh((t - divisor // 2 - middle * divisor) * mul, shift) + middle, lo, hi)
            == clip(t // divisor, lo, hi)    for least <= t <= most

    A truncating division agrees where lo >= 0. Between the first and the last quotient that t has
    `rounding_division_magic` proves it. At both ends the results are compared, as the last quotient
    could come out as one more; where it does, one quotient more is proved on either side.

    Args:
        divisor: 1 <= divisor < 2**31.
        least: smallest dividend.
        most: largest dividend.
        lo: least result.
        hi: largest result.
        middle: result around which products are small.

    Returns:
        None where no multiplier of 31 bits is exact.
    """

    def held(quotient: int) -> int:
        return min(max(quotient, lo), hi)

    offset = -(divisor // 2)
    for more in (0, 1):
        first, last = held(least // divisor - more), held(most // divisor + more)
        factor = rounding_division_magic(
            divisor, offset, first - middle, last - middle, saturated=True
        )
        if factor is not None and all(
            held(factor.apply(t + offset - middle * divisor) + middle) == held(t // divisor)
            for t in (least, most)
        ):
            return factor
    return None
