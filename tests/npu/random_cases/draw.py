"""Random shapes, numbers and ranges of a case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from intcc.dyadic import Dyadic
from intcc.interval import Interval
from tests.c.bench import Bench
from tests.ops.harness import Array, i32, i64

__all__ = ["LONGEST", "Cases", "Draw", "Shape", "codes", "quotient", "wide"]

#: Most tokens of a call, and of all earlier ones; seldom more than _USUAL.
LONGEST, _USUAL = 300, 40
Shape = list[int | str]


class Draw:
    """Random choices of one case."""

    def __init__(self, *seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def chance(self, share: float = 0.5) -> bool:
        """Return True in a share of all calls."""
        return bool(self.rng.random() < share)

    def one_of(self, *choices: Any) -> Any:
        """Return one of the choices."""
        return choices[self.rng.integers(len(choices))]

    def numbers(self, lo: Any, hi: Any, size: Any) -> Array:
        """Return int64 numbers in [lo, hi]: uniform ones, the ends, and some of every length."""
        low, high = (np.broadcast_to(np.asarray(end, np.int64), size) for end in (lo, hi))
        length = np.floor(np.exp2(self.rng.uniform(0, np.log2(2.0 + high - low), size)))
        sizes = (length.astype(np.int64) - 1) * self.rng.choice([-1, 1], size)
        near = np.clip(np.clip(0, low, high) + sizes, low, high)
        ends = np.where(self.rng.random(size) < 0.5, low, high)
        kinds = [ends, near, self.rng.integers(low, high, size, endpoint=True)]
        return np.asarray(np.choose(self.rng.choice(3, size, p=[0.1, 0.5, 0.4]), kinds))

    def number(self, lo: int, hi: int) -> int:
        """Return a number in [lo, hi]."""
        return int(self.numbers(lo, hi, ()))

    def extent(self, most: int) -> int:
        """Return an extent from 1 to `most`."""
        return 1 if self.chance(0.1) else int(self.rng.integers(1, most, endpoint=True))

    def real(self, least: float, most: float, size: Any = None) -> Any:
        """Return positive numbers of every magnitude."""
        return np.exp(self.rng.uniform(np.log(least), np.log(most), size))

    def span(self, lo: int, hi: int) -> tuple[int, int]:
        """Return a range within [lo, hi], half of the time the whole."""
        if self.chance():
            return lo, hi
        first, last = sorted(int(v) for v in self.numbers(lo, hi, 2))
        return first, last

    def shape(self, *tail: int) -> Shape:
        """Return the extents of tokens, of one row each, or of rows without a name."""
        tokens = ["batch", "sequence"]
        if self.chance(0.6):
            return [*tokens, *tail]
        return [*self.one_of(["batch"], [*tokens, self.extent(3)], [self.extent(5)], []), *tail]

    def extents(self) -> tuple[int, int, int]:
        """Return tokens of a call, tokens of all earlier ones, and a batch."""
        tokens, past = (self.extent(_USUAL) for _ in range(2))
        if self.chance(0.1):
            tokens, past = self.one_of((self.extent(120), past), (1, self.extent(LONGEST)))
        return tokens, past, self.one_of(1, 1, 2, 3)

    def dyadic(self, reach: int, least: float, most: float) -> list[Array]:
        """Return any multiplier and shift, or those that take `reach` into [least, most]."""
        if self.chance(0.3):
            return [i64(self.number(0, 2**31 - 1)), i64(self.number(1, 62))]
        scale = Dyadic.from_real(min(self.real(least, most) / max(reach, 1), 2.0**28))
        return [i64(scale.mul), i64(scale.shift)]

    def biases(self, size: int, *terms: Interval) -> Array:
        """Return int32 numbers, 1 or one per channel, whose sum with each of the terms is int32."""
        low, high = room(*terms)
        return (
            self.numbers(low.max(), high.min(), 1) if size == 1 else self.numbers(low, high, size)
        )

    def factors(self, size: int, *terms: Interval) -> Array:
        """Return int32 numbers, seldom 0, whose product with each of the terms is int32."""
        low, high = _hull(terms)
        limit = (2**31 - 1) // np.maximum(np.maximum(-low, high), 1)
        limit = limit.min() if size == 1 else limit
        found = self.numbers(-limit, limit, size)
        return np.where((found == 0) & (self.rng.random(size) < 0.8), np.minimum(limit, 1), found)


#: What adds the graph of a case to a bench, by the type of its operator.
Cases = Mapping[str, Callable[[Bench, Draw], None]]


def room(*terms: Interval) -> tuple[Array, Array]:
    """Return the least and the largest int32 whose sum with each of the terms is int32."""
    low, high = _hull(terms)
    return -(2**31) - np.minimum(low, 0), 2**31 - 1 - np.maximum(high, 0)


def _hull(terms: Sequence[Interval]) -> tuple[Array, Array]:
    whole = terms[0]
    for term in terms[1:]:
        whole = whole.hull(term)
    return np.asarray(whole.lo, np.int64), np.asarray(whole.hi, np.int64)


def wide(b: Bench, d: Draw, shape: Shape, lo: int, hi: int) -> ir.Value:
    """Return an int32 value in [lo, hi]: an input, or one that has a range per channel."""
    if d.chance(0.7) or lo == hi or not isinstance(shape[-1], int):
        return b.input(np.int32, shape, lo, hi)
    reach = min(hi - lo, 2**31 - 1)
    top = min(reach, 2**15)
    x = b.input(np.int32, shape, 0, top)
    mul = d.numbers(-(reach // top), reach // top, shape[-1])
    bias = d.numbers(lo - np.minimum(mul * top, 0), hi - np.maximum(mul * top, 0), shape[-1])
    return b.op("Affine", [x, i32(mul), i32(bias)])[0]


def codes(b: Bench, d: Draw, shape: Shape, lo: int, hi: int) -> ir.Value:
    """Return bytes in [lo, hi]: an input, or a value that has a range per channel."""
    if d.chance(0.7) or not isinstance(shape[-1], int):
        return b.input(np.uint8, shape, lo, hi)
    reach = Interval.symmetric(np.full(shape[-1], 2**20))
    x = b.input(np.int32, shape, reach.min, reach.max)
    return b.op("Quantize", [x, i32([1]), *quotient(d, reach, lo, hi)])[0]


def quotient(d: Draw, acc: Interval, lo: int, hi: int, *others: Interval) -> list[Array]:
    """Return bias, divisor and limits for sums `acc`: any, or such that quotients lie between.

    Args:
        d: the draw.
        acc: per channel.
        lo: least quotient.
        hi: largest quotient.
        others: other terms whose sum with the bias is int32.
    """
    n = acc.lo.size
    if d.chance(0.25):
        bias, divisor = d.biases(d.one_of(1, n), acc, *others), d.numbers(1, 2**31 - 1, n)
    else:
        reach = np.maximum(np.asarray(acc.hi - acc.lo, np.float64), 255)
        divisor = np.minimum(reach / 255 * d.real(0.1, 3, n), 2**30).astype(np.int64) + 1
        middle = np.asarray((acc.lo + acc.hi) // 2, np.int64)
        ends = room(acc, *others)
        bias = np.clip((divisor * (lo + hi) + divisor) // 2 - middle, *ends)
        if d.chance(0.1):
            bias = d.one_of(*ends)
    powers = d.rng.random(n) < d.one_of(0, 0.5, 1)
    nearest = np.exp2(np.floor(np.log2(divisor))).astype(np.int64)
    divisor = np.where(powers, nearest, divisor | 1)
    return [i32(v) for v in (bias, divisor if d.chance(0.8) else divisor[:1], lo, hi)]
