"""Attention of encoders, and products of two activations."""

from __future__ import annotations

import numpy as np

from intcc.backends.tosa.arithmetic import ZERO, clip, floor_divide, narrow, remainder
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.division import divide
from intcc.backends.tosa.graph import Tensor, Type
from intcc.backends.tosa.site import Site
from intcc.backends.tosa.tables import look_up
from intcc.interval import Interval
from intcc.ops.attention import numerators

__all__ = ["RULES"]


def batch_matmul(site: Site) -> list[Tensor]:
    """(a - zero_a) @ (b - 128)."""
    b, left, right = site.b, site.tensor(0), site.tensor(2)
    (interval,) = site.proved
    shape = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    if right.rank == 2:
        left3 = b.reshape(left, (1, int(np.prod(left.shape[:-1])), left.shape[-1]))
        right3 = b.reshape(right, (1, *right.shape))
    else:
        left3, right3 = (_batched(b, t, shape) for t in (left, right))
    y = b.matmul(left3, right3, site.number(1) + ZERO, 0, interval.scalar())
    return [b.reshape(y, (*shape, left.shape[-2], right.shape[-1]))]


def _batched(b: Builder, x: Tensor, batch: tuple[int, ...]) -> Tensor:
    ranked = b.reshape(x, (*(1,) * (len(batch) + 2 - x.rank), *x.shape))
    spread = b.tile(ranked, (*batch, *x.shape[-2:]))
    return b.reshape(spread, (int(np.prod(batch, dtype=np.int64)), *x.shape[-2:]))


def _heads(b: Builder, x: Tensor, heads: int, order: tuple[int, ...]) -> Tensor:
    """Split the last axis into heads and bring them to the front, [batch * heads, ., .]."""
    batch, length, width = x.shape
    split = b.transpose(b.reshape(x, (batch, length, heads, width // heads)), order)
    return b.reshape(split, (batch * heads, *split.shape[2:]))


def attention(site: Site) -> list[Tensor]:
    """softmax(q k^T) v: numerators are a table of the distance, and one division ends a row."""
    b = site.b
    q, k, v = (site.tensor(i) for i in range(3))
    heads = site.numbers(4)[2]
    half, cap, up, down = (site.number(i) for i in range(6, 10))
    batch, length, width = q.shape
    query = _heads(b, q, heads, (0, 2, 1, 3))
    keys = _heads(b, k, heads, (0, 2, 3, 1))
    values = _heads(b, v, heads, (0, 2, 1, 3))
    reach = (q.interval - (64 + ZERO)).scalar() * k.interval.scalar() * (width // heads)
    raw = b.matmul(query, keys, 64 + ZERO, 0, reach)
    scores = b.reshape(raw, (batch, heads, length, k.shape[1]))
    if isinstance(site.inputs[3], Tensor) or site.array(3).any():
        scores = b.add(scores, site.tensor(3))
    lower = b.sub(b.maximum_along(scores, -1), scores)
    distance = clip(b, b.bounded(lower, Interval.of(0, lower.hi)), 0, cap - half)
    x = floor_divide(b, b.mul(b.add(distance, half), up), down)
    cubic = (site.number(10), site.number(11), site.number(12))
    steps = np.arange(cap * up // down + 1)
    entries = numerators(steps, 1, 1, cubic, site.number(13), site.number(14))
    e = look_up(b, x, entries)
    # Every row holds its largest score, whose numerator is e(half), so no sum is zero.
    first = int(entries[half * up // down])
    total = b.reduce_sum(e, -1, Interval.of(first, int(entries.max()) * k.shape[1]))
    sums = weighted(b, e, values, (batch, heads, length, width // heads))
    center = b.add(b.shift_left(total, 7), b.shift_right(total, 1, rounded=False))
    dividend = b.bounded(b.add(sums, center), Interval.of(0, 2**31 - 1))
    context = narrow(b, divide(b, dividend, total, 255))
    merged = b.transpose(context, (0, 2, 1, 3))
    return [b.reshape(merged, (batch, length, width))]


def weighted(b: Builder, e: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return e @ values for numerators of 14 bits: two products of int8, 128 high + low."""
    keys = values.shape[1]
    flat = b.reshape(e, (values.shape[0], e.shape[-2], keys))
    parts = []
    for part in remainder(b, flat, 7):
        reach = part.interval.scalar() * values.interval.scalar() * keys
        parts.append(b.matmul(b.cast(part, Type.INT8), values, 0, 0, reach))
    high, low = parts
    bound = e.interval.scalar() * values.interval.scalar() * keys
    joined = b.add(b.shift_left(high, 7), low)
    return b.reshape(b.bounded(joined, bound), shape)


RULES = {"Attention": attention, "BatchMatMul": batch_matmul}
