"""Quotients of two computed values, floor(a / b) for a >= 0 and b > 0."""

from __future__ import annotations

from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.graph import Tensor
from intcc.interval import Interval

__all__ = ["divide"]


def divide(b: Builder, dividend: Tensor, divisor: Tensor, most: int) -> Tensor:
    """Return floor(dividend / divisor), at most `most`.

    INTDIV where the toolchain has it, else one bit of the quotient after the other.
    """
    assert dividend.lo >= 0 and divisor.lo > 0
    interval = Interval.of(0, most)
    if b.allows("INTDIV"):
        return b.divide(dividend, divisor, interval)
    rest, quotient = dividend, None
    left = Interval.of(0, dividend.hi)
    for bit in range(most.bit_length() - 1, -1, -1):
        # divisor * 2**bit might pass int32, so the rest is compared without its lower bits.
        less = b.sub(b.shift_right(rest, bit, rounded=False), divisor)
        found = b.add(b.shift_right(less, 31, rounded=False), 1)
        part = b.shift_left(found, bit)
        quotient = part if quotient is None else b.add(quotient, part)
        if bit:
            rest = b.sub(rest, b.shift_left(b.mul(found, divisor), bit, left), left)
    assert quotient is not None
    return b.bounded(quotient, interval)
