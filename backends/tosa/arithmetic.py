"""Integer arithmetic in TOSA operations: what the rules of several operators need.

Unsigned 8-bit values q of the dialect are int8 tensors that hold q - 128, everywhere inside a
graph; `codes` makes int32 numbers of them and `narrow` the way back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.backends.tosa import wide
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.division import divide
from intcc.backends.tosa.graph import Tensor, Type
from intcc.backends.tosa.wide import clip
from intcc.dyadic import rounding_division_magic
from intcc.interval import Interval

__all__ = [
    "ZERO",
    "bit_length",
    "clip",
    "codes",
    "each",
    "floor_divide",
    "narrow",
    "not_zero",
    "remainder",
    "scaled",
]

Array = npt.NDArray[Any]
#: What an int8 tensor of unsigned codes holds for code 0.
ZERO = -128


def codes(b: Builder, x: Tensor) -> Tensor:
    """Return the codes of an unsigned 8-bit value as int32."""
    return b.rescale(x, Type.INT32, zero_in=ZERO)


def narrow(b: Builder, x: Tensor) -> Tensor:
    """Return int32 numbers in [0, 255] as an unsigned 8-bit value."""
    assert x.lo >= 0 and x.hi <= 255
    return b.rescale(x, Type.INT8, zero_out=ZERO)


def each(values: Array) -> Array | int:
    """Return one number where all are equal, else numbers per channel."""
    flat = np.asarray(values, np.int64).reshape(-1)
    return int(flat[0]) if (flat == flat[0]).all() else flat


def remainder(b: Builder, x: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return floor(x / 2**bits) and x mod 2**bits."""
    high = b.shift_right(x, bits, rounded=False)
    if high.lo == high.hi == 0:
        return high, x
    return high, b.sub(x, b.shift_left(high, bits), Interval.of(0, (1 << bits) - 1))


def bit_length(b: Builder, x: Tensor) -> Tensor:
    """Bit length of x >= 0."""
    return b.sub(32, b.clz(x))


def not_zero(b: Builder, x: Tensor) -> Tensor:
    """1 where x is not 0, else 0."""
    sign = clip(b, x, -1, 1)
    return b.mul(sign, sign) if sign.lo < 0 else sign


def scaled(b: Builder, x: Tensor, factor: Array | int, shift: int, lo: int, hi: int) -> Tensor:
    """clip(rsh(x * factor, shift), lo, hi), 0 <= shift <= 62, for constants (one or per channel).

    One MUL where the quotient fits int32. x is held between the first numbers whose quotients pass
    lo and hi, which changes nothing; where even those leave int32, limbs compute the product.
    """
    muls = [int(m) for m in np.asarray(factor).reshape(-1)]
    half = 1 << shift >> 1
    ends = [_held(x.lo, x.hi, mul, shift, lo, hi) for mul in muls]
    quotients = [(end * mul + half) >> shift for pair, mul in zip(ends, muls, strict=True)
                 for end in pair]  # fmt: skip
    if max(map(abs, muls)) >= 2**31 or not all(-(2**31) <= q < 2**31 for q in quotients):
        product = wide.multiply(b, wide.split(b, x), wide.constant(np.asarray(factor)))
        return wide.shift_right(b, wide.add_constant(b, product, half), shift, lo, hi)
    least, most = (np.array([pair[i] for pair in ends], np.int64) for i in (0, 1))
    if (least > x.lo).any():
        x = b.maximum(x, each(least))
    if (most < x.hi).any():
        x = b.minimum(x, each(most))
    return clip(b, b.mul(x, each(np.array(muls, np.int64)), shift), lo, hi)


def _held(least: int, most: int, mul: int, shift: int, lo: int, hi: int) -> tuple[int, int]:
    """Return the part of [least, most] beyond which rsh(x * mul, shift) stays outside [lo, hi]."""
    if mul == 0:
        return least, most
    half = 1 << shift >> 1
    if mul < 0:
        below, above = _held(-most, -least, -mul, shift, lo, hi)
        return -above, -below
    first = -((half - (hi << shift)) // mul)  # the smallest x whose quotient is at least hi
    last = (((lo + 1) << shift) - half - 1) // mul  # the largest x whose quotient is at most lo
    return max(least, min(last, most)), min(most, max(first, least))


def floor_divide(b: Builder, t: Tensor, divisor: int) -> Tensor:
    """Return floor(t / divisor) for a constant divisor: a sum, a MUL and, for negative t, a sum.

    A division where no multiplier of 31 bits is exact.
    """
    if divisor & (divisor - 1) == 0:
        return b.shift_right(t, divisor.bit_length() - 1, rounded=False)
    start = t.lo // divisor
    most = t.hi // divisor - start
    magic = None
    for offset in (-(divisor // 2), 1 - divisor // 2):
        magic = magic or rounding_division_magic(divisor, offset, 0, most)
        if magic:
            break
    if magic is None:
        lifted = b.add(t, -start * divisor)
        exact = divide(b, lifted, b.constant(np.full((1,) * t.rank, divisor), Type.INT32), most)
    else:
        quotient = b.mul(b.add(t, offset - start * divisor), magic.mul, magic.shift)
        exact = b.bounded(quotient, Interval.of(0, most))
    return b.add(exact, start) if start else exact
