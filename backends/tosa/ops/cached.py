"""Causal attention over cached keys and values, see `intcc.ops.cached` for the formulas.

Scores pass 32 bits, as every key and value has its own scale. They are kept in limbs up to the
distance from the row's largest; from there on numbers are short again. A shift by a computed amount
is a factor of a power of two before a shift by a constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.backends.tosa import wide, wide_rows
from intcc.backends.tosa.arithmetic import bit_length, clip, remainder, scaled
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.division import divide
from intcc.backends.tosa.graph import Tensor, Type
from intcc.backends.tosa.ops.gates import power_of_half, tanh_curve
from intcc.backends.tosa.site import Site
from intcc.backends.tosa.wide import Wide
from intcc.interval import Interval
from intcc.ops import cached
from intcc.ops.cached import LARGEST, QUERY_BITS, WEIGHT_BITS
from intcc.ops.dynamic_quantize import STEPS
from intcc.ops.operator import WIDE

__all__ = ["RULES"]

Array = npt.NDArray[Any]
#: Bits of a rounding that is left to the end, more than any exponent of a query row.
_LAST = cached.QUERY_EXPONENT + 1
#: Numerators have 23 bits: those of h and these.
_EXTRA = 7
#: Bits of the largest sum of numerators.
_SUM_BITS = 47
#: Largest shift of a row of weights.
_WEIGHT_SHIFT = 39
_INT32 = 2**31 - 1


def cache(order: tuple[int, ...], axis: int) -> Any:
    """Return the rule that appends codes, turned by `order`, along `axis`."""

    def rule(site: Site) -> list[Tensor]:
        b = site.b
        codes = b.transpose(site.tensor(0), order)
        made = [b.concat([site.tensor(3), codes], axis)]
        for new, past in ((1, 4), (2, 5)):
            turned = b.transpose(site.tensor(new), (0, 2, 3, 1))
            made.append(b.concat([site.tensor(past), turned], 3))
        return made

    return rule


@dataclass(frozen=True)
class _Rows:
    """Scores of rows.

    Attributes:
        x: the products with the keys, [batch, key heads, groups * n, total].
        e: exponents of the rows.
        seen: 1 where a row sees a key, [groups * n, total]; None where all are seen.
    """

    x: Wide
    e: Tensor
    seen: Array | None


def _scores(site: Site) -> _Rows:
    b = site.b
    q, keys, km, kk = (site.tensor(i) for i in range(4))
    grouped, mul, pre = site.numbers(7), site.number(10), site.number(11)
    batch, n, heads, dim = q.shape
    kv_heads, total = grouped[1], keys.shape[3]
    row = b.reshape(b.transpose(q, (0, 2, 1, 3)), (batch, kv_heads, heads // kv_heads * n, dim))
    e = clip(b, b.sub(bit_length(b, b.maximum_along(b.abs(row), -1)), QUERY_BITS), 0, 31)
    reach = Interval.symmetric(min(row.magnitude, 2**QUERY_BITS))
    y = b.bounded(b.shift_right(row, e, rounded=True), reach)
    acc = _halves(b, y, keys, reach)
    scale = b.shift_left(km, kk, Interval.of(0, km.hi << kk.hi))
    product = wide.multiply(b, wide.split(b, scale), wide.constant(np.array(mul)))
    lifted = wide.add_constant(b, product, 1 << pre >> 1)
    f = wide_rows.scaled_down(b, lifted, pre)
    x = wide.multiply(b, wide.split(b, acc), f)
    seen = cached.in_sight(
        np.empty((1, n, 1, 1)), np.empty((1, 1, 1, total)), site.array(8), site.array(13)
    )
    return _Rows(x, e, None if seen.all() else seen.astype(np.int64))


def _products(b: Builder, y: Tensor, right: Tensor) -> list[Tensor]:
    """Return high @ right and low @ right, y = 128 high + low, batch and heads in one axis."""
    batch, heads, rows, inner = y.shape
    flat = b.reshape(y, (batch * heads, rows, inner))
    other = b.reshape(right, (batch * heads, *right.shape[2:]))
    parts = []
    for part in remainder(b, flat, 7):
        bound = part.interval.scalar() * right.interval.scalar() * inner
        parts.append(b.matmul(b.cast(part, Type.INT8), other, 0, 0, bound))
    return parts


def _halves(b: Builder, y: Tensor, right: Tensor, reach: Interval) -> Tensor:
    """Return y @ right for y of at most 15 bits: 128 high + low."""
    batch, heads, rows, inner = y.shape
    parts = _products(b, y, right)
    whole = reach * right.interval.scalar() * inner
    high = b.shift_left(parts[0], 7, Interval.symmetric(_INT32))
    joined = b.add(high, parts[1], whole)
    return b.reshape(joined, (batch, heads, rows, right.shape[3]))


def _distances(b: Builder, rows: _Rows, shift: int) -> Tensor:
    """min(rsh(max(x) - x, shift - e), LARGEST); LARGEST for keys out of sight."""
    x = rows.x
    if rows.seen is not None:
        # Out of sight all limbs are 0 but the last one, which is lower than that of any other.
        *lower, top = wide.tensors(b, x)
        limbs = [b.mul(limb, rows.seen) for limb in lower]
        low = -(1 << max(12, (top.magnitude + 1).bit_length()) + 8)
        last = b.add(b.mul(top, rows.seen), (1 - rows.seen) * low)
        place = wide.BITS * len(lower)
        x = Wide((*limbs, last), x.interval.hull(Interval.of(low << place, 0)))
    behind = wide.combine(b, wide_rows.maximum(b, x), x, negative=True)
    d = Wide(behind.limbs, Interval.of(0, behind.interval.max))
    steps = wide_rows.scaled_down(b, d, shift - _LAST)
    z = _round_last(b, steps, rows.e, 0, LARGEST)
    return _unseen(b, z, rows.seen)


def _unseen(b: Builder, z: Tensor, seen: Array | None) -> Tensor:
    """LARGEST for keys out of sight."""
    if seen is None:
        return z
    return b.add(b.mul(z, seen), (1 - seen) * LARGEST, Interval.of(0, LARGEST))


def _round_last(b: Builder, x: Wide, e: Tensor, lo: int, hi: int) -> Tensor:
    """clip(rsh(x, _LAST - e), lo, hi)."""
    raised = wide.multiply(b, x, wide_rows.power(b, e))
    lifted = wide.add_constant(b, raised, 1 << (_LAST - 1))
    return wide.shift_right(b, lifted, _LAST, lo, hi)


def _context(site: Site, z: Tensor) -> Tensor:
    """Values weighted by 2**-z."""
    b = site.b
    values, vm, vk = (site.tensor(i) for i in range(4, 7))
    h, n = power_of_half(b, z)
    e = b.shift_right(b.shift_left(h, _EXTRA), n, rounded=False)
    scale = b.shift_left(vm, vk, Interval.of(0, vm.hi << vk.hi))
    t = wide.multiply(b, wide.split(b, e), wide.split(b, scale))
    bits = wide_rows.length(b, wide_rows.maximum(b, t))
    s = clip(b, b.sub(bits, WEIGHT_BITS), 0, _WEIGHT_SHIFT)
    # t < 2**(s + 14), so every row of t * 2**(39 - s) ends at bit 53
    aligned = wide.multiply(
        b, t, wide_rows.power(b, b.sub(_WEIGHT_SHIFT, s)),
        Interval.of(0, (1 << (_WEIGHT_SHIFT + WEIGHT_BITS)) - 1),
    )  # fmt: skip
    lifted = wide.add_constant(b, aligned, 1 << (_WEIGHT_SHIFT - 1))
    w = wide.shift_right(b, lifted, _WEIGHT_SHIFT, 0, 2**WEIGHT_BITS - 1)
    acc = _halves_wide(b, w, values)
    r, missing = _reciprocal(b, e)
    factor = wide.multiply(b, wide.split(b, r), wide_rows.power(b, b.add(missing, s)))
    product = wide.multiply(b, acc, factor)
    last = _SUM_BITS + 15
    o = wide.shift_right(b, wide.add_constant(b, product, 1 << (last - 1)), last, -WIDE, WIDE)
    (bound,) = site.proved
    heads, width = site.numbers(9)[1], o.shape[3]
    by_head = b.reshape(b.bounded(o, bound), (o.shape[0], heads, site.tensor(0).shape[1], width))
    return b.transpose(by_head, (0, 2, 1, 3))


def _halves_wide(b: Builder, w: Tensor, values: Tensor) -> Wide:
    """Return w @ values for w of 14 bits, in limbs where the number of keys asks for them."""
    reach = w.interval.scalar() * values.interval.scalar() * values.shape[2]
    shape = (*w.shape[:3], values.shape[3])
    parts = [b.reshape(part, shape) for part in _products(b, w, values)]
    high = wide.multiply(b, wide.split(b, parts[0]), wide.constant(np.array(128)))
    joined = wide.combine(b, high, wide.split(b, parts[1]), negative=False)
    return wide.normalize(b, joined.limbs, reach)


def _reciprocal(b: Builder, e: Tensor) -> tuple[Tensor, Tensor]:
    """Return floor(2**(bits + 15) / N) and 47 - bits for N = 127 sum e and its bit length.

    The first 16 bits of N give a quotient that is at most three too small; what is left of the
    dividend tells by how much.
    """
    largest = (65535 << _EXTRA) * STEPS
    total = wide_rows.sum_along(b, e)
    n = wide.multiply(b, total, wide.constant(np.array(STEPS)))
    n = Wide(n.limbs, Interval.of(largest, max(largest, int(n.interval.max))))
    missing = b.sub(_SUM_BITS, wide_rows.length(b, n))
    aligned = wide.multiply(
        b, n, wide_rows.power(b, missing), Interval.of(1 << (_SUM_BITS - 1), (1 << _SUM_BITS) - 1)
    )
    first = wide.shift_right(b, aligned, _SUM_BITS - 16, 2**15, 2**16 - 1)
    start = divide(b, b.add(b.mul(first, 0), _INT32), b.add(first, 1), 2**16)
    taken = wide.multiply(b, aligned, wide.split(b, start))
    rest = wide.add_constant(b, _negative(b, taken), 1 << (_SUM_BITS + 15))
    r = b.add(start, 3)
    for _ in range(3):
        rest = wide.combine(b, rest, aligned, negative=True)
        r = b.add(r, wide_rows.is_negative(b, rest))
    return b.bounded(r, Interval.of(2**15, 2**16)), missing


def _negative(b: Builder, x: Wide) -> Wide:
    return wide.combine(b, Wide((0,), Interval.of(0, 0)), x, negative=True)


def cached_attention(site: Site) -> list[Tensor]:
    """Attention over a cache."""
    rows = _scores(site)
    return [_context(site, _distances(site.b, rows, site.number(12)))]


def cached_attention_capped(site: Site) -> list[Tensor]:
    """Attention over a cache with capped scores; a cap keeps their order."""
    b, rows = site.b, _scores(site)
    gain, gain_shift = site.number(16), site.number(17)
    steps = wide_rows.scaled_down(b, rows.x, site.number(12) - _LAST)
    r = _round_last(b, steps, rows.e, -_INT32, _INT32)
    t = tanh_curve(b, r, site.number(14), site.number(15))
    if rows.seen is not None:
        t = b.add(b.mul(t, rows.seen), (rows.seen - 1) * 2**16)
    behind = b.sub(b.maximum_along(t, -1), t)
    z = scaled(b, b.bounded(behind, Interval.of(0, behind.hi)), gain, gain_shift, 0, LARGEST)
    return [_context(site, _unseen(b, z, rows.seen))]


RULES = {
    "CacheKeys": cache((0, 2, 3, 1), 3),
    "CacheValues": cache((0, 2, 1, 3), 2),
    "CachedAttention": cached_attention,
    "CachedAttentionCapped": cached_attention_capped,
}
