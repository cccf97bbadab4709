"""Builder: TOSA operations whose results' shapes, types and ranges are known as they are made.

Every method appends one operation, beside the reshape that gives two operands one rank, and
returns its result. A result whose range might leave its type raises RangeProofError: the rules of
the dialect's operators bring numbers into range before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.backends.tosa.graph import Tensor, Type
from intcc.backends.tosa.values import ValueBuilder
from intcc.interval import Interval

__all__ = ["Builder", "Geometry"]

Array = npt.NDArray[Any]
#: What a 32-bit operand can be: a computed value, or numbers known at compile time.
Operand = Tensor | Array | int


@dataclass(frozen=True)
class Geometry:
    """Where the windows of a convolution lie.

    Attributes:
        pads: rows and columns around the image: top, bottom, left, right.
        strides: distance between neighbouring windows, vertical and horizontal.
        dilations: distance between neighbouring taps, likewise.
    """

    pads: Sequence[int] = (0, 0, 0, 0)
    strides: Sequence[int] = (1, 1)
    dilations: Sequence[int] = (1, 1)


class Builder(ValueBuilder):
    """A graph under construction."""

    # -- element-wise ---------------------------------------------------------------------------

    def _operands(self, *operands: Operand) -> tuple[list[Tensor], tuple[int, ...]]:
        """Return operands as tensors of one rank, and the extents of the result."""
        rank = max(o.rank if isinstance(o, Tensor) else np.ndim(o) for o in operands)
        ready = []
        for operand in operands:
            if isinstance(operand, Tensor):
                shape = (1,) * (rank - operand.rank) + operand.shape
                ready.append(self.reshape(operand, shape))
            else:
                array = np.asarray(operand)
                shape = (1,) * (rank - array.ndim) + array.shape
                ready.append(self.constant(array.reshape(shape), Type.INT32))
        return ready, tuple(np.broadcast_shapes(*(t.shape for t in ready)))

    def _intervals(self, a: Tensor, b: Tensor) -> tuple[Interval, Interval]:
        """Return ranges that can be combined: per channel where the channels match."""

        def of(t: Tensor) -> Interval:
            if t.data is not None and 1 < t.data.size == t.shape[-1]:
                flat = t.data.reshape(-1)
                return Interval.of(flat, flat)
            return t.interval

        left, right = of(a), of(b)
        if left.lo.shape and right.lo.shape and left.lo.shape != right.lo.shape:
            return left.scalar(), right.scalar()
        return left, right

    def add(self, a: Operand, b: Operand, bound: Interval | None = None) -> Tensor:
        """Return a + b; bound is known where the operands are not independent."""
        if isinstance(b, int) and b == 0 and isinstance(a, Tensor):
            return a
        (x, y), shape = self._operands(a, b)
        left, right = self._intervals(x, y)
        interval = left + right if bound is None else bound
        return self.emit("ADD", (x, y), shape, Type.INT32, interval)

    def sub(self, a: Operand, b: Operand, bound: Interval | None = None) -> Tensor:
        """Return a - b; bound is known where the operands are not independent."""
        (x, y), shape = self._operands(a, b)
        left, right = self._intervals(x, y)
        interval = left - right if bound is None else bound
        return self.emit("SUB", (x, y), shape, Type.INT32, interval)

    def mul(self, a: Operand, b: Operand, shift: int = 0, bound: Interval | None = None) -> Tensor:
        """rsh(a * b, shift): the product in 64 bits, rounded half up.

        bound is known where the operands are not independent.
        """
        assert 0 <= shift <= 63
        if isinstance(b, int) and b == 1 and shift == 0 and isinstance(a, Tensor):
            return a
        (x, y), shape = self._operands(a, b)
        left, right = self._intervals(x, y)
        product = left * right
        half = 1 << shift >> 1
        interval = Interval((product.lo + half) >> shift, (product.hi + half) >> shift)
        if bound is not None:
            interval = bound
        elif x is y:
            interval = Interval(np.maximum(interval.lo, 0), interval.hi)
        amount = self.constant(np.array([shift], np.int8), Type.INT8)
        return self.emit("MUL", (x, y, amount), shape, Type.INT32, interval)

    def maximum(self, a: Operand, b: Operand) -> Tensor:
        """The larger of two."""
        (x, y), shape = self._operands(a, b)
        left, right = self._intervals(x, y)
        interval = Interval(np.maximum(left.lo, right.lo), np.maximum(left.hi, right.hi))
        return self.emit("MAXIMUM", (x, y), shape, Type.INT32, interval)

    def minimum(self, a: Operand, b: Operand) -> Tensor:
        """The smaller of two."""
        (x, y), shape = self._operands(a, b)
        left, right = self._intervals(x, y)
        interval = Interval(np.minimum(left.lo, right.lo), np.minimum(left.hi, right.hi))
        return self.emit("MINIMUM", (x, y), shape, Type.INT32, interval)

    def clamp(self, a: Tensor, lo: int, hi: int) -> Tensor:
        """Saturate int8 numbers."""
        return self.emit(
            "CLAMP", (a,), a.shape, a.type, a.interval.clip(lo, hi), min_val=lo, max_val=hi
        )

    def shift_right(self, a: Operand, amount: Operand, *, rounded: bool) -> Tensor:
        """Return a / 2**amount, rounded half up or down to a whole number; 0 <= amount <= 31."""
        if isinstance(amount, int) and amount == 0 and isinstance(a, Tensor):
            return a
        (x, y), shape = self._operands(a, amount)
        assert y.lo >= 0 and y.hi <= 31, f"shift by [{y.lo}, {y.hi}]"
        ends = []
        for s in {y.lo, y.hi}:
            half = (1 << s >> 1) if rounded else 0
            ends.append(Interval((x.interval.lo + half) >> s, (x.interval.hi + half) >> s))
        interval = ends[0].hull(ends[-1])
        kind = "ARITHMETIC_RIGHT_SHIFT"
        return self.emit(kind, (x, y), shape, Type.INT32, interval, round=rounded)

    def shift_left(self, a: Operand, amount: Operand, bound: Interval | None = None) -> Tensor:
        """Return a * 2**amount, 0 <= amount <= 31; bound is known where the two depend."""
        if isinstance(amount, int) and amount == 0 and isinstance(a, Tensor):
            return a
        (x, y), shape = self._operands(a, amount)
        assert y.lo >= 0 and y.hi <= 31, f"shift by [{y.lo}, {y.hi}]"
        interval = bound
        if interval is None:
            interval = x.interval.scalar() * Interval.of(1 << y.lo, 1 << y.hi)
        return self.emit("LOGICAL_LEFT_SHIFT", (x, y), shape, Type.INT32, interval)

    def divide(self, a: Tensor, b: Tensor, interval: Interval) -> Tensor:
        """Return a / b, truncated, for b > 0; the caller knows the quotient's range."""
        assert b.lo > 0
        (x, y), shape = self._operands(a, b)
        return self.emit("INTDIV", (x, y), shape, Type.INT32, interval)

    def abs(self, a: Tensor) -> Tensor:
        """|a|."""
        if a.lo >= 0:
            return a
        return self.emit("ABS", (a,), a.shape, Type.INT32, Interval.of(0, a.magnitude))

    def clz(self, a: Tensor) -> Tensor:
        """Leading zeros of 32 bits; a >= 0."""
        assert a.lo >= 0
        interval = Interval.of(32 - a.hi.bit_length(), 32 - a.lo.bit_length())
        return self.emit("CLZ", (a,), a.shape, Type.INT32, interval)

    def bounded(self, a: Tensor, interval: Interval) -> Tensor:
        """Return the value, of which the caller knows more than its operations tell."""
        a.interval = interval
        return a

    # -- types ----------------------------------------------------------------------------------

    def rescale(
        self,
        a: Tensor,
        to: Type,
        mul: Array | int = 1 << 30,
        shift: Array | int = 30,
        *,
        zero_in: int = 0,
        zero_out: int = 0,
        unsigned_in: bool = False,
        unsigned_out: bool = False,
        interval: Interval | None = None,
    ) -> Tensor:
        """Saturate(rsh((a - zero_in) * mul, shift) + zero_out); the identity by default.

        mul and shift are one number or one per channel, 0 <= mul < 2**31, 2 <= shift <= 62; values
        less the zero point lie within +-2**(shift - 1).
        """
        muls, shifts = np.atleast_1d(mul), np.atleast_1d(shift)
        size = max(muls.size, shifts.size)
        factors = [int(m) for m in np.broadcast_to(muls, (size,))]
        amounts = [int(s) for s in np.broadcast_to(shifts, (size,))]
        assert all(0 <= m < 2**31 for m in factors) and all(2 <= s <= 62 for s in amounts)
        reach = (a.interval if not unsigned_in else Interval.of(0, 255)) - zero_in
        lo, hi = (np.broadcast_to(e, (size,)) if size > 1 else e for e in (reach.lo, reach.hi))
        m = np.array(factors, object) if size > 1 else factors[0]
        s = np.array(amounts, object) if size > 1 else amounts[0]
        top = np.array([1 << (t - 1) for t in amounts], object) if size > 1 else 1 << (s - 1)
        assert np.all(-top <= lo) and np.all(hi < top), "RESCALE input is out of range"
        if interval is None:
            found = Interval((lo * m + top) >> s, (hi * m + top) >> s) + zero_out
            low, high = int(to.limits.min), int(to.limits.max)
            interval = found.clip(low, high) if not unsigned_out else to.limits
        operands = (
            a,
            self.constant(np.array(factors), Type.INT32),
            self.constant(np.array(amounts), Type.INT8),
            self.constant(np.array([_signed(zero_in, a.type, unsigned_in)]), a.type),
            self.constant(np.array([_signed(zero_out, to, unsigned_out)]), to),
        )
        return self.emit(
            "RESCALE",
            operands,
            a.shape,
            to,
            interval,
            per_channel=size > 1,
            input_unsigned=unsigned_in,
            output_unsigned=unsigned_out,
        )

    def cast(self, a: Tensor, to: Type) -> Tensor:
        """The same numbers in another type."""
        return a if a.type is to else self.emit("CAST", (a,), a.shape, to, a.interval)

    # -- products, tables and reductions ----------------------------------------------------------

    def convolve(
        self,
        kind: str,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        shape: Sequence[int],
        interval: Interval,
        zero: int,
        geometry: Geometry | None = None,
    ) -> Tensor:
        """CONV2D or DEPTHWISE_CONV2D: x NHWC int8 less `zero`, constant int8 weights."""
        zeros = [self.constant(np.array([z]), Type.INT8) for z in (zero, 0)]
        how = geometry or Geometry()
        operands = (x, weight, bias, *zeros)
        return self.emit(
            kind,
            operands,
            shape,
            Type.INT32,
            interval,
            pad=list(how.pads),
            stride=list(how.strides),
            dilation=list(how.dilations),
        )

    def matmul(self, a: Tensor, b: Tensor, zero_a: int, zero_b: int, interval: Interval) -> Tensor:
        """(a - zero_a) @ (b - zero_b), int8 [B, M, K] and [B, K, N]."""
        zeros = [self.constant(np.array([z]), Type.INT8) for z in (zero_a, zero_b)]
        shape = (a.shape[0], a.shape[1], b.shape[2])
        return self.emit("MATMUL", (a, b, *zeros), shape, Type.INT32, interval)

    def max_pool(
        self,
        x: Tensor,
        kernel: Sequence[int],
        stride: Sequence[int],
        pad: Sequence[int],
        shape: Sequence[int],
    ) -> Tensor:
        """Largest int8 number of each window of an image NHWC; pads never are the largest."""
        geometry = {"kernel": list(kernel), "stride": list(stride), "pad": list(pad)}
        return self.emit("MAX_POOL2D", (x,), shape, x.type, x.interval, **geometry)

    def pad(self, x: Tensor, pads: Sequence[int], value: int) -> Tensor:
        """An int8 image NHWC with rows and columns [top, bottom, left, right] of a number."""
        if not any(pads):
            return x
        top, bottom, left, right = pads
        amounts = self.shape([0, 0, top, bottom, left, right, 0, 0])
        n, h, w, c = x.shape
        operands = (x, amounts, self.constant(np.array([value]), x.type))
        interval = x.interval.hull(Interval.of(value, value))
        shape = (n, h + top + bottom, w + left + right, c)
        return self.emit("PAD", operands, shape, x.type, interval)

    def table8(self, a: Tensor, entries: Array) -> Tensor:
        """Entries by a + 128, int8."""
        part = entries[a.lo + 128 : a.hi + 129]
        interval = Interval.of(int(part.min()), int(part.max()))
        return self.emit(
            "TABLE", (a, self.constant(entries, Type.INT8)), a.shape, Type.INT8, interval
        )

    def table16(self, a: Tensor, entries: Array, interval: Interval) -> Tensor:
        """128 times the entries, 513, by a / 128 + 256; linear between them; a int16."""
        operands = (a, self.constant(entries, Type.INT16))
        return self.emit("TABLE", operands, a.shape, Type.INT32, interval)

    def maximum_along(self, a: Tensor, axis: int) -> Tensor:
        """Largest element along an axis, which stays with extent 1."""
        axis %= a.rank
        if not self.allows("REDUCE_MAX"):
            while a.shape[axis] > 1:
                half = (a.shape[axis] + 1) // 2  # an odd extent compares its middle with itself
                first, size = [0] * a.rank, list(a.shape)
                size[axis] = half
                low = self.slice(a, first, size)
                first[axis] = a.shape[axis] - half
                a = self.maximum(low, self.slice(a, first, size))
            return a
        shape = (*a.shape[:axis], 1, *a.shape[axis + 1 :])
        return self.emit("REDUCE_MAX", (a,), shape, a.type, a.interval.scalar(), axis=axis)

    def reduce_sum(self, a: Tensor, axis: int, interval: Interval | None = None) -> Tensor:
        """Sum along an axis, which stays with extent 1."""
        axis %= a.rank
        shape = (*a.shape[:axis], 1, *a.shape[axis + 1 :])
        whole = a.interval.scalar() * a.shape[axis] if interval is None else interval
        return self.emit("REDUCE_SUM", (a,), shape, a.type, whole, axis=axis)


def _signed(zero: int, kind: Type, unsigned: bool) -> int:
    """Return a zero point as the bits of its tensor's type hold it."""
    return zero - 256 if unsigned and kind is Type.INT8 and zero > 127 else zero
