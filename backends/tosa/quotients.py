"""Saturated quotients by constants per channel: one RESCALE, proved to floor as division does.

    y = clip(t // divisor, lo, hi) = clip(rsh((t + offset) * mul, shift) + middle, lo, hi)

A truncating division agrees, as lo >= 0. See `intcc.dyadic.saturated_quotient_magic` for the proof
of each channel's multiplier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.backends.tosa.arithmetic import ZERO, each, narrow
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.division import divide
from intcc.backends.tosa.graph import Tensor, Type
from intcc.dyadic import Dyadic, saturated_quotient_magic
from intcc.interval import INT32, Interval

__all__ = ["Quotients"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Quotients:
    """How quotients of one operator are computed.

    Attributes:
        divisors: one per channel.
        offset: what is added to t, per channel.
        factors: one per channel; none where some channel's would need more than 31 bits, and a
            division has to do (even divisors of many bits alone).
        middle: what is added to the quotient.
        lo: least quotient.
        hi: largest quotient.
        held: bounds of t per channel beyond which quotients saturate; None where t may stay as it
            is.
    """

    divisors: Array
    offset: Array
    factors: tuple[Dyadic, ...]
    middle: int
    lo: int
    hi: int
    held: tuple[Array, Array] | None

    @classmethod
    def of(cls, t: Interval, divisor: Array, lo: int, hi: int) -> Quotients:
        """Find the multipliers.

        Args:
            t: range of the dividend, one or per channel.
            divisor: one or per channel, >= 1.
            lo: least quotient, >= 0.
            hi: largest quotient, <= 255.
        """
        size = max(t.lo.size, np.size(divisor))
        divisors = [int(d) for d in np.broadcast_to(np.reshape(divisor, -1), (size,))]
        ends = [[int(v) for v in np.broadcast_to(end, (size,))] for end in (t.lo, t.hi)]
        top = int(INT32.max)
        low, high = ([min(d * q, top) for d in divisors] for q in (lo, hi))
        # Held or not: a range on one side of the bounds is held at a number outside of it.
        least, most = list(map(min, ends[0], high)), list(map(max, ends[1], low))
        for middle in (0, (lo + hi + 1) // 2):
            found = [
                saturated_quotient_magic(d, first, last, lo, hi, middle)
                for d, first, last in zip(divisors, least, most, strict=True)
            ]
            factors = tuple(f for f in found if f is not None)
            offset = np.array([-(d // 2) - middle * d for d in divisors], object)
            if len(factors) == size and (offset >= INT32.min).all():
                break
        else:
            factors, middle = (), 0
        sums = [np.array(end, object) + offset for end in ends]
        reach = np.array([min(1 << (f.shift - 1), 2**31) for f in factors], object)
        every = np.array(divisors, np.int64)
        if factors and (sums[0] >= -reach).all() and (sums[1] < reach).all():
            return cls(every, offset, factors, middle, lo, hi, None)
        held = np.array(low, np.int64), np.array(high, np.int64)
        return cls(every, offset, factors, middle, lo, hi, held)

    def moved(self, bias: Array) -> Array | None:
        """Return the bias of t that takes the offset in; None where the two cannot be one."""
        total = bias + self.offset
        if self.held is not None or not Interval.of(total.min(), total.max()).fits(INT32):
            return None
        return np.asarray(total, np.int64)

    def divide(self, b: Builder, t: Tensor) -> Tensor:
        """Return the codes of the quotients of t."""
        if self.held is not None:
            low, high = self.held
            t = b.minimum(b.maximum(t, each(low)), each(high))
        if not self.factors:
            rank = (1,) * (t.rank - 1)
            numbers = b.constant(self.divisors.reshape(*rank, -1), Type.INT32)
            q = divide(b, b.bounded(t, t.interval.clip(0, t.hi)), numbers, self.hi)
            return clip_codes(b, narrow(b, q), self.lo, self.hi)
        return self.finish(b, b.add(t, each(self.offset.astype(np.int64))))

    def finish(self, b: Builder, v: Tensor) -> Tensor:
        """Return the codes for t whose bias was moved."""
        mul, shift = (
            each(np.array([getattr(f, n) for f in self.factors])) for n in ("mul", "shift")
        )
        if not (isinstance(mul, int) and isinstance(shift, int)):
            mul, shift = (np.array([getattr(f, n) for f in self.factors]) for n in ("mul", "shift"))
        # RESCALE saturates at [0, 255] of itself; tighter bounds cut the codes.
        y = b.rescale(v, Type.INT8, mul, shift, zero_out=ZERO + self.middle)
        return clip_codes(b, y, self.lo, self.hi)


def clip_codes(b: Builder, y: Tensor, lo: int, hi: int) -> Tensor:
    """Saturate codes at [lo, hi]."""
    if y.lo >= lo + ZERO and y.hi <= hi + ZERO:
        return y
    return b.clamp(y, lo + ZERO, hi + ZERO)
