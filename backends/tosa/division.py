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
    for bit in range(most.bit_length() - 1, -1, -1):
        # What passes int32 is larger than any dividend: the bit is 0 there.
        largest = (2**31 - 1) >> bit
        held = b.minimum(divisor, largest) if divisor.hi > largest else divisor
        assert held is divisor or dividend.hi < largest << bit
        raised = b.shift_left(held, bit)
        digit = b.add(b.shift_right(b.sub(rest, raised), 31, rounded=False), 1)
        part = b.shift_left(digit, bit)
        quotient = part if quotient is None else b.add(quotient, part)
        if bit:
            left = b.sub(rest, b.mul(raised, digit))
            rest = b.bounded(left, Interval.of(0, dividend.hi))
    assert quotient is not None
    return b.bounded(quotient, interval)
