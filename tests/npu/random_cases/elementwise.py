"""Element by element: sums, products, gains, quantization and rescaling."""

from __future__ import annotations

from typing import Any

import numpy as np

from intcc.interval import Interval
from tests.c.bench import Bench
from tests.npu.random_cases.draw import Cases, Draw, quotient, wide
from tests.ops.harness import Array, i32, i64

__all__ = ["CASES"]

_INT32 = (-(2**31), 2**31 - 1)
Range = tuple[int, int]


def _pair(b: Bench, d: Draw, first: Range, second: Range) -> list[Any]:
    """Return two operands that broadcast, in these ranges; the second may be constant."""
    shape = d.shape(d.extent(40))
    x = wide(b, d, shape, *first)
    spread = [1 if d.chance(0.25) else n for n in shape][d.one_of(0, 0, 0, len(shape) - 1) :]
    extents = [n for n in spread if isinstance(n, int)]
    constant = len(extents) == len(spread) and d.chance()
    y: Any = i32(d.numbers(*second, extents)) if constant else wide(b, d, spread, *second)
    return [y, x] if d.chance(0.3) else [x, y]


def _add(b: Bench, d: Draw) -> None:
    lo, hi = d.span(*_INT32)
    rest = d.span(max(_INT32[0], _INT32[0] - lo), min(_INT32[1], _INT32[1] - hi))
    b.output(*b.op("Add", _pair(b, d, (lo, hi), rest)))
    x = wide(b, d, d.shape(d.extent(9)), *d.span(-(2**30), 2**30 - 1))
    b.output(*b.op("Add", [x, x]))


def _saturating_add(b: Bench, d: Draw) -> None:
    first, second = (d.span(1 - 2**30, 2**30 - 1) for _ in range(2))
    b.output(*b.op("SaturatingAdd", _pair(b, d, first, second)))


def _shift(d: Draw, largest: int, least: int) -> Array:
    """Return a shift in [least, 62]: any, or one that leaves up to 34 bits of `largest`."""
    if d.chance(0.3):
        return i64(d.number(least, 62))
    return i64(int(np.clip(largest.bit_length() - d.number(0, 34), least, 62)))


def _product(b: Bench, d: Draw) -> None:
    first, second = d.span(*_INT32), d.span(*_INT32)
    x = wide(b, d, d.shape(d.extent(9)), *first)
    for pair, (p, q) in (
        (_pair(b, d, first, second), (first, second)),
        ([x, x], (first, first)),
    ):
        shift = _shift(d, max(map(abs, p)) * max(map(abs, q)), 0)
        b.output(*b.op("Product", [*pair, shift, *map(i32, d.span(*_INT32))]))


def _affine(b: Bench, d: Draw) -> None:
    n = d.extent(40)
    lo, hi = d.span(*_INT32)
    x = b.input(np.int32, d.shape(n), lo, hi)
    mul = d.factors(d.one_of(1, n), Interval.of(lo, hi))
    bias = d.biases(d.one_of(1, n), Interval.of(lo, hi) * Interval.of(mul, mul))
    b.output(*b.op("Affine", [x, i32(mul), i32(bias)]))


def _widen(b: Bench, d: Draw) -> None:
    n = d.extent(40)
    lo, hi = d.span(0, 255)
    x = b.input(np.uint8, d.shape(n), lo, hi)
    zero = d.numbers(-(2**16), 2**16, d.one_of(1, n)) if d.chance(0.2) else d.numbers(0, 255, n)
    mul = d.factors(d.one_of(1, n), Interval.of(lo, hi) - Interval.of(zero, zero))
    b.output(*b.op("Widen", [x, i32(zero), i32(mul)]))


def _quantize(b: Bench, d: Draw) -> None:
    """Even divisors too, and sums up to the ends of int32."""
    n = d.extent(40)
    lo, hi = d.span(*_INT32)
    x = b.input(np.int32, d.shape(n), lo, hi)
    mul = d.factors(d.one_of(1, n), Interval.of(lo, hi))
    product = Interval.of(lo, hi) * Interval.of(mul, mul)
    bias, divisor, *limits = quotient(d, product, *d.span(0, 255))
    if d.chance(0.3):
        divisor = i32(np.minimum(divisor.astype(np.int64) + 1, 2**31 - 1))
    b.output(*b.op("Quantize", [x, i32(mul), bias, divisor, *limits]))


def _rescale(b: Bench, d: Draw) -> None:
    """Multipliers of 31 bits, or of as many as 64-bit products allow."""
    n = d.extent(20)
    lo, hi = d.span(*_INT32)
    x = b.input(np.int32, d.shape(n), lo, hi)
    reach = max(-lo, hi, 1)
    most = min(2**62 // reach, d.one_of(2**31 - 1, 2**31 - 1, 2**62))
    for size in (n, ()):
        mul = d.numbers(-most, most, size)
        shift = _shift(d, reach * int(np.abs(mul).max()), 1)
        b.output(*b.op("Rescale", [x, i64(mul), shift, *map(i32, d.span(*_INT32))]))


def _relu(b: Bench, d: Draw) -> None:
    b.output(*b.op("Relu", [wide(b, d, d.shape(d.extent(40)), *d.span(*_INT32))]))


def _clip(b: Bench, d: Draw) -> None:
    x = wide(b, d, d.shape(d.extent(40)), *d.span(*_INT32))
    b.output(*b.op("Clip", [x, *map(i32, d.span(*_INT32))]))


def _key_mask(b: Bench, d: Draw) -> None:
    lo, hi = d.span(*d.one_of((-3, 3), (0, 1), _INT32))
    b.output(*b.op("KeyMask", [b.input(np.int64, ["batch", "sequence"], lo, hi)]))


CASES: Cases = {
    "Add": _add,
    "Affine": _affine,
    "Clip": _clip,
    "KeyMask": _key_mask,
    "Product": _product,
    "Quantize": _quantize,
    "Relu": _relu,
    "Rescale": _rescale,
    "SaturatingAdd": _saturating_add,
    "Widen": _widen,
}
