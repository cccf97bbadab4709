"""Row-wise operators: norms, dynamic quantization, masked means.

Sums of squares pass 32 bits; they are kept as high * 2**15 + low, and the normalized sum of a row
is made from two words of 30 bits. What a row needs once costs little beside its elements.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from intcc.backends.tosa import wide
from intcc.backends.tosa.arithmetic import (
    bit_length,
    clip,
    floor_divide,
    narrow,
    not_zero,
    remainder,
)
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.division import divide
from intcc.backends.tosa.graph import Tensor
from intcc.backends.tosa.site import Site
from intcc.backends.tosa.tables import look_up
from intcc.interval import Interval
from intcc.ops import rows
from intcc.ops.dynamic_quantize import LARGEST_MANTISSA, STEPS, ZERO

__all__ = ["RULES"]

_WORD = 30


def narrow_rows(b: Builder, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return rsh(x, sh), max |x| and sh per row."""
    largest = b.maximum_along(b.abs(x), -1)
    sh = clip(b, b.sub(bit_length(b, largest), rows.ROW_BITS), 0, 15)
    y = b.shift_right(x, sh, rounded=True)
    reach = min(x.magnitude, 2**rows.ROW_BITS)
    return b.bounded(y, Interval.symmetric(reach)), largest, sh


def dynamic_quantize(site: Site) -> list[Tensor]:
    """Codes, mantissa and exponent of every row; one division per row."""
    b = site.b
    y, largest, k = narrow_rows(b, site.tensor(0))
    m = b.maximum(b.shift_right(largest, k, rounded=True), 1)
    m = b.bounded(m, Interval.of(1, min(m.hi, LARGEST_MANTISSA)))
    dividend = b.add(b.shift_right(m, 1, rounded=False), STEPS << 22)
    r = divide(b, dividend, m, STEPS << 22)
    steps = b.mul(y, r, 22, Interval.symmetric(STEPS))
    return [narrow(b, b.add(steps, ZERO)), m, k]


def normalize(b: Builder, y0: Tensor, eps: int, gain: int, shift: int, bound: Interval) -> Tensor:
    """y0 * gain / sqrt(sum of squares + eps) per row, within `bound`; see `intcc.ops.rows`."""
    y, _, sh = narrow_rows(b, y0)
    upper, lower = _sum_of_squares(b, y, sh, eps)
    u, e = _in_octaves(b, upper, lower)
    # floor(r * gain / 2**29) has 31 bits, and the rest of the shift rounds it as it would the whole
    product = wide.multiply(b, wide.split(b, _inverse_root(b, u)), wide.constant(np.array(gain)))
    whole = wide.shift_right(b, product, 29, 0, 2**31 - 1)
    factor = b.shift_right(whole, b.add(e, 15), rounded=True)
    return b.mul(y, factor, shift, bound)


def _sum_of_squares(b: Builder, y: Tensor, sh: Tensor, eps: int) -> tuple[Tensor, Tensor]:
    """Return max(1, sum y**2 + round(eps / 4**sh)) as two words of 30 bits, |y| <= 2**15."""
    high, low = sums(b, b.mul(y, y), 15)
    carry, first = remainder(b, low, 15)
    upper, second = remainder(b, b.add(high, carry), 15)
    lower = b.add(b.shift_left(second, 15), first)
    if eps:
        by_shift = [(eps + (1 << 2 * s >> 1)) >> 2 * s for s in range(16)]
        added = [look_up(b, sh, np.array([v >> s & (2**_WORD - 1) for v in by_shift], np.int64))
                 for s in (_WORD, 0)]  # fmt: skip
        carry, lower = remainder(b, b.add(lower, added[1]), _WORD)
        upper = b.add(b.add(upper, added[0]), carry)
    nothing = b.sub(1, b.minimum(upper, 1))
    return upper, b.maximum(lower, nothing)


def sums(b: Builder, x: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return sums along the last axis of floor(x / 2**bits) and of what that leaves."""
    high, low = remainder(b, x, bits)
    return b.reduce_sum(high, -1), b.reduce_sum(low, -1)


def _in_octaves(b: Builder, upper: Tensor, lower: Tensor) -> tuple[Tensor, Tensor]:
    """Return u = v * 4**-e in [2**28, 2**30) and e for v = upper * 2**30 + lower, v >= 1."""
    length = bit_length(b, lower)
    if upper.hi:
        more = b.sub(b.add(bit_length(b, upper), _WORD), length)
        length = b.add(length, b.mul(b.minimum(upper, 1), more))
    length = b.bounded(length, Interval.of(1, max(length.lo, 31 + upper.hi.bit_length())))
    e = b.shift_right(b.sub(length, 29), 1, rounded=False)
    word = Interval.of(0, 2**_WORD - 1)
    twice = b.shift_left(e, 1)
    right, left = clip(b, twice, 0, 32), clip(b, b.sub(0, twice), 0, 28)
    u = b.shift_right(b.shift_left(lower, left, word), clip(b, right, 0, 31), rounded=False)
    if upper.hi:
        raised = b.shift_left(upper, clip(b, b.sub(_WORD, right), 0, _WORD), word)
        beyond = clip(b, b.sub(right, _WORD), 0, 2)
        u = b.add(u, b.shift_right(raised, beyond, rounded=False))
    return b.bounded(u, Interval.of(2**28, 2**30 - 1)), e


def _inverse_root(b: Builder, u: Tensor) -> Tensor:
    """Return 2**44 / sqrt(u) between the points of RSQRT_TABLE."""
    cell, rest = remainder(b, u, 22)
    index = b.sub(cell, 64)
    start = look_up(b, index, rows.RSQRT_TABLE[:-1])
    drop = look_up(b, index, rows.RSQRT_TABLE[:-1] - rows.RSQRT_TABLE[1:])
    product = wide.multiply(b, wide.split(b, drop), wide.split(b, rest))
    r = b.sub(start, wide.shift_right(b, product, 22, 0, 2**31 - 1))
    return b.bounded(r, Interval.of(int(rows.RSQRT_TABLE[-1]), int(rows.RSQRT_TABLE[0])))


def norm(first: int) -> Callable[[Site], list[Tensor]]:
    """Return the rule of a norm whose constants for rows start at operand `first`."""

    def rule(site: Site) -> list[Tensor]:
        (bound,) = site.proved
        x = site.tensor(0) if first == 3 else _centered(site.b, site.tensor(0))
        shift = site.number(first + 2).bit_length() - 1
        return [normalize(site.b, x, site.number(1), site.number(first), shift, bound)]

    return rule


def _centered(b: Builder, x: Tensor) -> Tensor:
    """Return x less the rounded mean of its row."""
    n = x.shape[-1]
    if n * x.magnitude < 2**30:
        mean = floor_divide(b, b.add(b.reduce_sum(x, -1), n // 2), n)
    else:
        high, low = sums(b, x, 12)
        whole = floor_divide(b, high, n)
        rest = b.sub(high, b.mul(whole, n), Interval.of(0, n - 1))
        part = floor_divide(b, b.add(b.add(b.shift_left(rest, 12), low), n // 2), n)
        mean = b.add(b.shift_left(whole, 12), part)
    return b.sub(x, b.bounded(mean, x.interval.scalar()))


def mean_pool(site: Site) -> list[Tensor]:
    """Rounded mean over the tokens whose mask is not zero."""
    b, x, mask = site.b, site.tensor(0), site.tensor(1)
    batch, length, width = x.shape
    keep = not_zero(b, mask)
    count = b.maximum(b.reduce_sum(keep, 1), 1)
    kept = b.reshape(keep, (batch, length, 1))
    parts = remainder(b, x, 16) if length * x.magnitude >= 2**29 else (None, x)
    high, low = (None if p is None else b.reduce_sum(b.mul(p, kept), 1) for p in parts)
    assert low is not None
    number = b.reshape(count, (batch, 1, 1))
    half = b.shift_right(number, 1, rounded=False)
    bound = site.proved[0].scalar()
    if high is None:
        y = _floor(b, b.add(low, half), number, x)
    else:
        whole = _floor(b, high, number, parts[0])
        taken = b.mul(whole, number, 0, Interval.of(high.lo - length, high.hi))
        rest = b.sub(high, taken, Interval.of(0, length - 1))
        rest = b.add(b.shift_left(rest, 16), b.add(low, half))
        y = b.add(b.shift_left(whole, 16), divide(b, rest, number, 2**17), bound)
    return [b.reshape(b.bounded(y, bound), (batch, width))]


def _floor(b: Builder, total: Tensor, count: Tensor, term: Tensor | None) -> Tensor:
    """Return floor(total / count) for sums of at most `count` terms and count // 2."""
    assert term is not None
    least = min(term.lo, 0)
    lifted = b.add(total, b.mul(count, -least))
    lifted = b.bounded(lifted, Interval.of(0, lifted.hi))
    return b.add(divide(b, lifted, count, max(term.hi, 0) - least), least)


RULES = {
    "DynamicQuantize": dynamic_quantize,
    "L2Normalize": norm(3),
    "LayerNorm": norm(6),
    "MeanPool": mean_pool,
    "RMSNorm": norm(3),
}
