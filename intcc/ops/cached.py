"""Attention over cached keys and values: what CachedAttention and CachedAttentionCapped share.

Query i of n stands at position total - n + i and sees key j where 0 <= position - j < window; query
head h uses key head h // groups. Each query row is on its own, so neither the batch nor the number
of tokens per call changes a bit.

    e    = max(0, bitlen(max |q|) - 13);  y = rsh(q, e)       |y| <= 2**13
    f_j  = rsh((km_j << kk_j) * mul, pre)                     once per key: its scale
    x_j  = (sum_d y_d key_dj) * f_j                           |x_j| <= 2**60
    z_j  = min(rsh(max(x) - x_j, shift), 23 << 12)            over visible keys; Q12, base 2
    e_j  = (h << 7) >> n for h, n = power_of_half(z_j)        2**-(z_j / 4096), Q23; 0 out of sight
    t_j  = e_j * (vm_j << vk_j)                               < 2**53
    s    = max(0, bitlen(max t) - 14);  w_j = min(rsh(t_j, s), 2**14 - 1)
    acc  = sum_j w_j value_jd
    N    = 127 * sum_j e_j;  b = bitlen(N);  R = floor(2**(b + 15) / N)
    o    = clip(rsh(acc * R, b + 15 - s), -WIDE, WIDE)                in the unit of v

Values differ in scale from key to key, so their scales go into the weights and the weights are
brought to 14 bits by the row's largest. y and w run through u8 x s8 products in two halves of
seven bits, y + 2**13 + 64 = 128 hi + lo and w = 128 hi + lo, which no CPU saturates: a half is at
most 128, and 128 * (127 + 127) <= 2**15 - 1. Keys out of sight stand 2**62 below the others.
Numerators have 23 bits, as thousands of small ones may outweigh a large one.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT8, INT32, INT64, UINT32, UINT64, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand, require_fits
from intcc.ops import rows
from intcc.ops.dynamic_quantize import LARGEST_MANTISSA, STEPS
from intcc.ops.exact import exact_product
from intcc.ops.exponential import PowerOfHalf, power_of_half
from intcc.ops.operator import DOMAIN, WIDE, Array

__all__ = [
    "LARGEST",
    "LARGEST_QUERY",
    "LARGEST_SCALED",
    "QUERY_BITS",
    "WEIGHT_BITS",
    "CachedContext",
    "CachedDistances",
    "CachedProducts",
    "CachedSight",
    "context",
    "distances",
    "in_sight",
    "products",
    "require_products",
    "require_shapes",
    "rsh",
    "shapes",
    "value_interval",
]

#: Bits of a query and of a weight.
QUERY_BITS, WEIGHT_BITS = 13, 14
#: Bound of |q|: a row's lift still fits int32.
LARGEST_QUERY = 2**30 - 2**24
#: Bound of |x|.
LARGEST_SCALED = 2**60
#: Most keys: sums of 7-bit weights times values stay in int32.
MOST_KEYS = 2**17
#: Largest exponents of a query row, and of a key or value.
QUERY_EXPONENT, EXPONENT = 30 - QUERY_BITS, 15
#: Bits that numerators have below those of h; z beyond which they are nothing.
_EXTRA, LARGEST = 7, 23 << 12
#: Bits of N when one numerator is all there is; with MOST_KEYS there are 47.
_N_BITS = (STEPS * (65535 << _EXTRA)).bit_length()


def _tensor(x: object, dtype: type[np.generic]) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.asarray(x, dtype))


_LAST = _tensor([-1], np.int64)
_POINT, _LOW = _tensor(64, np.uint8), _tensor(127, np.uint8)
_HIGH32, _HIGH64, _SEVEN = _tensor(128, np.int32), _tensor(128, np.int64), _tensor(7, np.uint32)
_ONE64, _SCALE32 = _tensor(1, np.uint64), _tensor(1 << _EXTRA, np.uint32)
_NONE, _STEP = _tensor(0, np.int64), _tensor(1, np.int64)
#: By exponent e of a query row: what makes y + 2**13 + 64 of it.
_E = np.arange(QUERY_EXPONENT + 1)
_QUERY_POWERS = _tensor(2 ** (_E[:-1] + QUERY_BITS), np.int32)
_QUERY_LIFT = _tensor(((2**QUERY_BITS + 64) << _E) + (1 << _E >> 1), np.int32)
_QUERY_DIVISOR = _tensor(1 << _E, np.int32)
_FAR = _tensor(2**62, np.int64)
_LARGEST = _tensor(LARGEST, np.uint64)
#: By shift s of a row of weights: half of 2**s.
_S = np.arange(40)
_WEIGHT_POWERS = _tensor(2 ** (_S[:-1].astype(np.int64) + WEIGHT_BITS), np.int64)
_WEIGHT_HALF = _tensor(np.int64(1) << _S >> 1, np.int64)
_MOST_WEIGHT = _tensor(2**WEIGHT_BITS - 1, np.uint64)
_STEPS, _WIDTH = _tensor([[STEPS]], np.int64), _tensor([1], np.int64)
#: By b - 30: 2**(b + 15).
_B = np.arange(18)
_SUM_POWERS = _tensor(2 ** (_B[:-1].astype(np.int64) + _N_BITS), np.int64)
_SUM_SCALE = _tensor(np.int64(1) << (_B + _N_BITS + 15), np.int64)
#: By b - 30 - s, 0 ... 17 and then -39 ... -1, as negative indices count from the end: the parts
#: of rsh(x, b + 15 - s) for |x| < 2**60.
_PLACE = np.concatenate([_B, -_S[:0:-1]]) + _N_BITS + 15
_LIFT = _tensor((np.int64(1) << 62) + (np.int64(1) << _PLACE >> 1), np.int64)
_DIVISOR = _tensor(np.int64(1) << _PLACE, np.int64)
_LOWER = _tensor(np.int64(1) << (62 - _PLACE), np.int64)
_LEAST, _MOST = _tensor(-WIDE, np.int64), _tensor(WIDE, np.int64)


@script(DOMAIN, default_opset=op)
def CachedProducts(
    q: INT32, keys: INT8, km: INT32, kk: INT32, grouped: INT64, mul: INT64, pre: INT64
) -> tuple[INT64, INT32]:
    """Products x and exponents e of every row, [batch, key heads, groups * n, total]."""
    u64 = op.Constant(value=_ONE64)
    row = op.Reshape(op.Transpose(q, perm=[0, 2, 1, 3]), grouped)
    last = op.Constant(value=_LAST)
    largest = op.ReduceMax(op.Abs(row), last, keepdims=1)
    reached = op.GreaterOrEqual(largest, op.Constant(value=_QUERY_POWERS))
    e = op.ReduceSum(op.Cast(reached, to=6), last, keepdims=1)
    lifted = op.Add(row, op.Gather(op.Constant(value=_QUERY_LIFT), e))
    y = op.Div(lifted, op.Gather(op.Constant(value=_QUERY_DIVISOR), e))
    high = op.Cast(op.Div(y, op.Constant(value=_HIGH32)), to=2)
    low = op.BitwiseAnd(op.Cast(y, to=2), op.Constant(value=_LOW))
    halves = op.Concat(high, low, axis=-2)
    sums = op.MatMulInteger(halves, keys, op.Constant(value=_POINT))
    upper, lower = op.Split(sums, axis=-2, num_outputs=2)
    acc = op.Add(op.Mul(upper, op.Constant(value=_HIGH32)), lower)
    s = op.Cast(pre, to=13)
    half = op.BitShift(op.BitShift(u64, s, direction="LEFT"), u64, direction="RIGHT")
    scale = op.BitShift(op.Cast(km, to=13), op.Cast(kk, to=13), direction="LEFT")
    scaled = op.Add(op.Mul(scale, op.Cast(mul, to=13)), half)
    f = op.Cast(op.BitShift(scaled, s, direction="RIGHT"), to=7)
    return op.Mul(op.Cast(acc, to=7), f), e


@script(DOMAIN, default_opset=op)
def CachedSight(q: INT32, keys: INT8, groups: INT64, window: INT64) -> INT64:
    """2**62 where a row [groups * n] sees a key [total], else 0."""
    step = op.Constant(value=_STEP)
    none = op.Constant(value=_NONE)
    total = op.Shape(keys, start=3, end=4)
    first = op.Squeeze(op.Sub(total, op.Shape(q, start=1, end=2)))
    last = op.Squeeze(total)
    positions = op.Expand(op.Range(first, last, step), groups)
    rows = op.Reshape(positions, op.Constant(value_ints=[-1, 1]))
    distance = op.Sub(rows, op.Range(none, last, step))
    near = op.Clip(distance, none, op.Sub(window, step))
    return op.Mul(op.Cast(op.Equal(near, distance), to=7), op.Constant(value=_FAR))


@script(DOMAIN, default_opset=op)
def CachedDistances(x: INT64, sight: INT64, half: INT64, shift: UINT64) -> UINT32:
    """z: how far each score lies below the row's largest, Q12."""
    score = op.Add(x, sight)
    top = op.Add(op.ReduceMax(score, op.Constant(value=_LAST), keepdims=1), half)
    d = op.BitShift(op.Cast(op.Sub(top, score), to=13), shift, direction="RIGHT")
    return op.Cast(op.Min(d, op.Constant(value=_LARGEST)), to=12)


@script(DOMAIN, default_opset=op)
def CachedContext(z: UINT32, values: INT8, vm: INT32, vk: INT32, merged: INT64) -> INT32:
    """Values weighted by 2**-z, [batch, n, heads, D]."""
    last = op.Constant(value=_LAST)
    h, n = PowerOfHalf(z)
    wide = op.Mul(h, op.Constant(value=_SCALE32))
    e = op.Cast(op.BitShift(wide, n, direction="RIGHT"), to=7)
    scale = op.BitShift(op.Cast(vm, to=13), op.Cast(vk, to=13), direction="LEFT")
    t = op.Mul(e, op.Cast(scale, to=7))
    largest = op.ReduceMax(t, last, keepdims=1)
    bits = op.GreaterOrEqual(largest, op.Constant(value=_WEIGHT_POWERS))
    s = op.ReduceSum(op.Cast(bits, to=6), last, keepdims=1)
    lifted = op.Add(t, op.Gather(op.Constant(value=_WEIGHT_HALF), s))
    narrow = op.BitShift(op.Cast(lifted, to=13), op.Cast(s, to=13), direction="RIGHT")
    w = op.Cast(op.Min(narrow, op.Constant(value=_MOST_WEIGHT)), to=12)
    high = op.Cast(op.BitShift(w, op.Constant(value=_SEVEN), direction="RIGHT"), to=2)
    low = op.BitwiseAnd(op.Cast(w, to=2), op.Constant(value=_LOW))
    sums = op.MatMulInteger(op.Concat(high, low, axis=-2), values)
    upper, lower = op.Split(op.Cast(sums, to=7), axis=-2, num_outputs=2)
    acc = op.Add(op.Mul(upper, op.Constant(value=_HIGH64)), lower)
    # A product with a column of 127s: onnxruntime's sum of int64 takes five times as long.
    column = op.Concat(op.Shape(values, start=2, end=3), op.Constant(value=_WIDTH), axis=0)
    total = op.MatMul(e, op.Expand(op.Constant(value=_STEPS), column))
    more = op.GreaterOrEqual(total, op.Constant(value=_SUM_POWERS))
    b = op.ReduceSum(op.Cast(more, to=6), last, keepdims=1)
    r = op.Div(op.Gather(op.Constant(value=_SUM_SCALE), b), total)
    place = op.Sub(b, s)
    raised = op.Add(op.Mul(acc, r), op.Gather(op.Constant(value=_LIFT), place))
    whole = op.Div(raised, op.Gather(op.Constant(value=_DIVISOR), place))
    o = op.Sub(whole, op.Gather(op.Constant(value=_LOWER), place))
    narrow_o = op.Clip(o, op.Constant(value=_LEAST), op.Constant(value=_MOST))
    return op.Transpose(op.Reshape(op.Cast(narrow_o, to=6), merged), perm=[0, 2, 1, 3])


def rsh(x: Array, s: Array) -> Array:
    """Shift right, rounding half up; a shift by zero changes nothing."""
    return np.asarray((x + (np.left_shift(1, s) >> 1)) >> s)


def products(
    q: Array, keys: Array, km: Array, kk: Array, grouped: Array, mul: Array, pre: Array
) -> tuple[Array, Array]:
    """Exact integers."""
    row = q.astype(np.int64).transpose(0, 2, 1, 3)
    row = row.reshape(q.shape[0], int(grouped[1]), -1, q.shape[3])
    e = np.maximum(0, rows.bit_length(np.abs(row).max(-1, keepdims=True)) - QUERY_BITS)
    acc = exact_product(rsh(row, e), keys)
    f = rsh((km.astype(np.int64) << kk) * int(mul), pre.astype(np.int64))
    return acc * f, e


def in_sight(q: Array, keys: Array, groups: Array, window: Array) -> Array:
    """Return whether a row sees a key, [groups * n, total]."""
    n, total = q.shape[1], keys.shape[3]
    position = np.tile(np.arange(total - n, total), int(groups[0]))[:, None]
    distance = position - np.arange(total)
    return np.asarray((distance >= 0) & (distance < int(window)))


def distances(x: Array, sight: Array, shift: Array) -> Array:
    """Exact integers; LARGEST for keys out of sight."""
    top = np.where(sight, x, -LARGEST_SCALED).max(-1, keepdims=True)
    d = np.minimum(rsh(np.where(sight, top - x, 0), shift), LARGEST)
    return np.where(sight, d, LARGEST)


def context(z: Array, values: Array, vm: Array, vk: Array, merged: Array) -> Array:
    """Exact integers."""
    h, whole = power_of_half(z)
    e = (h << _EXTRA) >> whole
    t = e * (vm.astype(np.int64) << vk)
    s = np.maximum(0, rows.bit_length(t.max(-1, keepdims=True)) - WEIGHT_BITS)
    w = np.minimum(rsh(t, s), 2**WEIGHT_BITS - 1)
    acc = exact_product(w, values)
    n = STEPS * e.sum(-1, keepdims=True)
    b = rows.bit_length(n)
    r = np.left_shift(1, b + 15) // n
    o = np.clip(rsh(acc * r, b + 15 - s), -WIDE, WIDE).astype(np.int32)
    shape = (o.shape[0], int(merged[1]), -1, o.shape[3])
    return o.reshape(shape).transpose(0, 2, 1, 3)


def require_scale(m: Operand, k: Operand, what: str) -> int:
    """Check the scales of keys or values as DynamicQuantize gives them; return the largest one."""
    require_fits(m.interval, Interval.of(0, LARGEST_MANTISSA), f"{what} mantissa")
    require_fits(k.interval, Interval.of(0, EXPONENT), f"{what} exponent")
    return m.interval.max << k.interval.max


def require_shapes(
    q: Operand, keys: Operand, values: Operand, grouped: Operand, groups: Operand, merged: Operand
) -> None:
    """Check the heads' constants against the operands, and the number of keys.

    Raises:
        RangeProofError: too many keys, or constants of other heads.
    """
    heads, dim = q.shape[2], q.shape[3]
    kv_heads, total = keys.shape[1], keys.shape[3]
    if total > MOST_KEYS:
        raise RangeProofError(
            "CachedAttention",
            f"over {total} keys passes int32 in its sums, {MOST_KEYS} fit",
            "Use a shorter --max-length",
        )
    made = (grouped.value.tolist(), groups.value.tolist(), merged.value.tolist())
    want = shapes(heads, kv_heads, dim, values.shape[3])
    if heads % kv_heads or made != tuple(w.tolist() for w in want):
        raise RangeProofError(
            "CachedAttention",
            f"has constants of other heads than {heads} over {kv_heads}",
            "This is a bug: report it",
        )
    for name, operand in (("keys", keys), ("values", values)):
        require_fits(operand.interval, Interval.symmetric(STEPS), f"CachedAttention {name}")


def shapes(heads: int, kv_heads: int, dim: int, value_dim: int) -> tuple[Array, Array, Array]:
    """Return the constants grouped, groups and merged."""
    return (
        np.array([0, kv_heads, -1, dim], np.int64),
        np.array([heads // kv_heads, 1], np.int64),
        np.array([0, heads, -1, value_dim], np.int64),
    )


def require_products(
    q: Operand, keys: Operand, km: Operand, kk: Operand, mul: Operand, pre: Operand
) -> tuple[Interval, int]:
    """Prove the sums and products of scores; return the interval of x and the largest e."""
    require_fits(q.interval, Interval.symmetric(LARGEST_QUERY), "CachedAttention query")
    largest = require_scale(km, kk, "CachedAttention key")
    factor, before = int(mul.value), int(pre.value)
    if not (0 <= factor < 2**31 and 1 <= before <= 62):
        raise RangeProofError("CachedAttention constants", "break C3", "This is a bug: report it")
    e = max(0, q.interval.magnitude.bit_length() - QUERY_BITS)
    y = min(q.interval.magnitude, 2**QUERY_BITS)
    acc = Interval.symmetric(y * keys.interval.magnitude * q.shape[3])
    require_fits(acc, Interval.symmetric(2**31 - 1), "CachedAttention sum of a score")
    x = acc * ((largest * factor + (1 << before >> 1)) >> before)
    require_fits(x, Interval.symmetric(LARGEST_SCALED), "CachedAttention score")
    return x, e


def value_interval(vm: Operand, vk: Operand, values: Operand) -> Interval:
    """Return the interval of o: the largest value, and what rounding the weights may add."""
    largest = require_scale(vm, vk, "CachedAttention value")
    # A weight is off by half of 2**s at most, and 2**s by at most 2**-13 of the largest weight.
    slack = largest * values.shape[2] // 2**WEIGHT_BITS
    return Interval.symmetric(min(largest + slack + 1, WIDE))
