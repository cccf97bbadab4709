"""Attention: softmax(q k^T) v with unnormalised numerators and one exact division per row.

    s   = (q - 64) @ (k - 128)^T + addend             per head, int32
    d   = min(max_keys(s) + half - s, cap)
    x   = d * up / down                                rounded by `half`; one step is h8 nats
    r   = (c0 - ((x - c2) * x + c1) * x) >> 16         e^(-x h8 / 8) in Q16, modulo 2**32
    r   = (r * r) >> 16, twice;  e = (r * r + round) >> shift               e < 2**14
    o   = floor((sum e (v - 128) + 128 S + floor(S/2)) / S),  S = sum e

Only ratios of numerators matter, so e needs no unit. An 8-bit probability at a fixed scale
would vanish on long rows; here the only rounding after e is the last one, into the scale of v.
The product with v runs in two u7 x s8 halves (e = 128 eh + el), which no CPU saturates.

Inputs after addend: heads [0, 0, H, D], merged [0, 0, H*D], half, cap, up, down, c0, c1, c2,
rounding, shift; `parameters` makes them.

Constraints
    (C1) q in [0, 127]; k, v in [1, 255]; the pair bound 127 * (127 + 127) <= 32767 follows
    (C2) |s| + half < 2**30
    (C3) cap * up < 2**31 and e(cap) = 0, so masked keys get exactly nothing
    (C4) e(0) is the largest numerator, e(0) < 2**14 and 255.5 e(0) * keys < 2**31
Error
    numerators: 2.8e-3 relative (cubic) and h8 / 2 <= 5.8e-3 nats (grid of x, averages out);
    o: 1/2 of its step, and before that rounding, on Gaussian scores and values, relative RMS
    <= 6e-3 up to 512 keys. With more keys C4 takes bits from e, and rows whose largest score
    stands far out suffer: <= 8e-2 at 2048
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnxscript import INT32, INT64, UINT8, UINT32, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.exact import exact_product
from intcc.ops.operator import DOMAIN, Array, Operator, Vector

__all__ = ["OPERATOR", "STEP", "numerators", "parameters"]

#: p(y) with p(y)**8 ~ e**(-8 y) on [0, 1.35]: least maximum of |error| / (e + 1e-3).
_FIT = (0.99965339, -0.99072361, 0.45702176, -0.09779582)
#: Smallest step of x, in nats: there the monic cubic starts just below 2**32.
STEP = 8 * (_FIT[0] / (-_FIT[3] * (2**32 - 2**16))) ** (1 / 3)
#: Distance in nats beyond which a numerator is nothing.
REACH = 10.95
#: Largest factor by which the step may pass STEP.
_SLACK = 1.08
#: Coarser scores are read as this many nats a step: two steps still end before the cubic's root,
#: and one is a numerator of 4 in 2**14.
_COARSEST = 8.4


def _const(x: int, dtype: type[np.generic]) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.array(x, dtype))


_S16, _S7 = _const(16, np.uint32), _const(7, np.uint32)
_ONES = onnx.numpy_helper.from_array(np.ones((1, 1), np.int8))
_UNIT = onnx.numpy_helper.from_array(np.array([1], np.int64))
_LAST_AXIS = onnx.numpy_helper.from_array(np.array([-1], np.int64))
_64U8, _128U8 = _const(64, np.uint8), _const(128, np.uint8)
_2, _128 = _const(2, np.int32), _const(128, np.int32)


@script(DOMAIN, default_opset=op)
def Attention(
    q: UINT8,
    k: UINT8,
    v: UINT8,
    addend: INT32,
    heads: INT64,
    merged: INT64,
    half: INT32,
    cap: INT32,
    up: INT32,
    down: INT32,
    c0: UINT32,
    c1: UINT32,
    c2: UINT32,
    rounding: UINT32,
    shift: UINT32,
) -> UINT8:
    """Multi-head attention on unsigned 8 bits."""
    u128 = op.Constant(value=_128U8)
    queries = op.Transpose(op.Reshape(q, heads), perm=[0, 2, 1, 3])
    k8 = op.Cast(op.Sub(op.Reshape(k, heads), u128), to=3)
    v8 = op.Cast(op.Sub(op.Reshape(v, heads), u128), to=3)
    keys = op.Transpose(k8, perm=[0, 2, 3, 1])
    values = op.Transpose(v8, perm=[0, 2, 1, 3])
    raw = op.MatMulInteger(queries, keys, op.Constant(value=_64U8))
    scores = op.Add(raw, addend)
    top = op.ReduceMax(scores, op.Constant(value=_LAST_AXIS), keepdims=1)
    d = op.Add(op.Min(op.Sub(top, scores), op.Sub(cap, half)), half)
    x = op.Cast(op.Div(op.Mul(d, up), down), to=12)
    cubic = op.Sub(c0, op.Mul(op.Add(op.Mul(op.Sub(x, c2), x), c1), x))
    s16 = op.Constant(value=_S16)
    r1 = op.BitShift(cubic, s16, direction="RIGHT")
    r2 = op.BitShift(op.Mul(r1, r1), s16, direction="RIGHT")
    r4 = op.BitShift(op.Mul(r2, r2), s16, direction="RIGHT")
    e = op.BitShift(op.Add(op.Mul(r4, r4), rounding), shift, direction="RIGHT")
    high = op.Cast(op.BitShift(e, op.Constant(value=_S7), direction="RIGHT"), to=2)
    low = op.Sub(op.Cast(e, to=2), op.Mul(high, u128))
    count = op.Concat(op.Shape(k, start=1, end=2), op.Constant(value=_UNIT), axis=0)
    ones = op.Expand(op.Constant(value=_ONES), count)
    i128 = op.Constant(value=_128)
    last = op.Constant(value=_LAST_AXIS)
    # Without the last axis of one, along which onnxruntime would apply scalars one by one.
    highs = op.Squeeze(op.MatMulInteger(high, ones), last)
    lows = op.Squeeze(op.MatMulInteger(low, ones), last)
    total = op.Add(op.Mul(highs, i128), lows)
    center = op.Add(op.Mul(total, i128), op.Div(total, op.Constant(value=_2)))
    sums = op.Add(op.Mul(op.MatMulInteger(high, values), i128), op.MatMulInteger(low, values))
    context = op.Div(op.Add(sums, op.Unsqueeze(center, last)), op.Unsqueeze(total, last))
    rows = op.Transpose(op.Cast(context, to=2), perm=[0, 2, 1, 3])
    return op.Reshape(rows, merged)


def numerators(
    d: Array, up: int, down: int, cubic: tuple[int, int, int], rounding: int, shift: int
) -> Array:
    """Return e for score distances d (already clipped at cap)."""
    x = d.astype(np.int64) * up // down
    c0, c1, c2 = cubic
    r = ((c0 - ((x - c2) * x + c1) * x) & (2**32 - 1)) >> 16
    for _ in range(2):
        r = (r * r) >> 16
    return (r * r + rounding) >> shift


def _grid(unit: float) -> tuple[int, int]:
    """Return up, down with STEP <= unit * down / up <= _SLACK * STEP, as short as possible."""
    for up in range(1, 2**20):
        down = math.ceil(STEP * up / unit)
        if unit * down <= _SLACK * STEP * up:
            return up, down
    raise AssertionError(f"no grid for a score unit of {unit}")


def _fits(largest: int, keys: int) -> bool:
    """Tell whether 255.5 * largest * keys < 2**31: sums of `keys` numerators stay in int32."""
    return 511 * largest * keys < 2**32


def _shift(cubic: tuple[int, int, int], max_keys: int) -> int:
    """Return the last shift of a numerator: as many bits as C4 leaves."""
    for shift in range(12, 25):
        first = int(numerators(np.array([0]), 1, 1, cubic, 2 ** (shift - 1), shift)[0])
        if 2**7 <= first < 2**14 and _fits(first, max_keys):
            return shift
    raise RangeProofError(
        "Attention",
        f"over {max_keys} keys leaves fewer than 8 bits per numerator",
        "Use a shorter --max-length",
    )


def parameters(
    unit: float, max_keys: int, num_heads: int, head_dim: int, kv_heads: int
) -> tuple[Array, ...]:
    """Return the constant inputs after `addend`.

    Args:
        unit: real score per integer score, > 0.
        max_keys: largest number of keys.
        num_heads: query heads.
        head_dim: width of a head.
        kv_heads: key heads; equal to num_heads for now.

    Raises:
        RangeProofError: so many keys that fewer than 8 bits are left for a numerator.
    """
    assert kv_heads == num_heads, "grouped heads belong to decoders"
    unit = min(max(unit, 1e-7), _COARSEST)
    up, down = _grid(unit)
    h = unit * down / up / 8
    k = 1 / (-_FIT[3] * h**3)
    cubic = (
        round(_FIT[0] * k) + 2**15,
        round(-_FIT[1] * h * k),
        round(_FIT[2] * h**2 * k),
    )
    shift = _shift(cubic, max_keys)
    return (
        np.array([0, 0, num_heads, head_dim], np.int64),
        np.array([0, 0, num_heads * head_dim], np.int64),
        np.array(down // (2 * up), np.int32),
        np.array(math.ceil(REACH / unit), np.int32),
        np.array(up, np.int32),
        np.array(down, np.int32),
        *(np.array(c, np.uint32) for c in cubic),
        np.array(2 ** (shift - 1), np.uint32),
        np.array(shift, np.uint32),
    )


def reference(
    q: Array,
    k: Array,
    v: Array,
    addend: Array,
    heads: Array,
    merged: Array,
    half: Array,
    cap: Array,
    up: Array,
    down: Array,
    c0: Array,
    c1: Array,
    c2: Array,
    rounding: Array,
    shift: Array,
) -> Array:
    """Exact integers."""
    h, dim = int(heads[2]), int(heads[3])

    def split(x: Array, zero: int) -> Array:
        moved = x.reshape(*x.shape[:2], h, dim).transpose(0, 2, 1, 3)
        return moved.astype(np.int64) - zero

    scores = exact_product(split(q, 64), split(k, 128).swapaxes(-1, -2)) + addend
    d = np.minimum(scores.max(-1, keepdims=True) + int(half) - scores, int(cap))
    cubic = (int(c0), int(c1), int(c2))
    e = numerators(d, int(up), int(down), cubic, int(rounding), int(shift))
    total = e.sum(-1, keepdims=True)
    context = (exact_product(e, split(v, 128)) + 128 * total + total // 2) // total
    rows = context.transpose(0, 2, 1, 3).astype(np.uint8)
    return np.asarray(rows.reshape(*rows.shape[:2], h * dim))


def bounds(
    q: Operand,
    k: Operand,
    v: Operand,
    addend: Operand,
    heads: Operand,
    merged: Operand,
    half: Operand,
    cap: Operand,
    up: Operand,
    down: Operand,
    c0: Operand,
    c1: Operand,
    c2: Operand,
    rounding: Operand,
    shift: Operand,
) -> Interval:
    """Prove C1 to C4."""
    require_fits(q.interval, Interval.of(0, 127), "Attention query")
    for name, operand in (("key", k), ("value", v)):
        require_fits(operand.interval, Interval.of(1, 255), f"Attention {name}")
    dim = int(heads.value[3])
    reach = 64 * 127 * dim
    limit = Interval.symmetric(2**30)
    scores = Interval.symmetric(reach) + addend.interval.scalar()
    require_fits(scores + int(half.value), limit, "Attention scores")
    cubic = (int(c0.value), int(c1.value), int(c2.value))
    reached = int(cap.value) * int(up.value)
    steps = np.arange(min(reached // int(down.value), 2**16) + 1)
    e = numerators(steps, 1, 1, cubic, int(rounding.value), int(shift.value))
    largest = int(e[0])
    if reached >= 2**31 or e[-1] != 0 or e.max() != largest or not 0 < largest < 2**14:
        raise RangeProofError("Attention constants", "break C3", "This is a bug: report it")
    if not _fits(largest, k.shape[1]):
        raise RangeProofError(
            "Attention", f"over {k.shape[1]} keys passes int32", "Use a shorter --max-length"
        )
    return Interval.of(1, 255)


def _vector() -> Vector:
    q = np.array([[[64, 127], [1, 64]]], np.uint8)
    k = np.array([[[128, 255], [255, 1]]], np.uint8)
    v = np.array([[[1, 255], [255, 1]]], np.uint8)
    constants = parameters(1e-3, 2, 1, 2, 1)
    zero = np.zeros((1, 1, 1, 1), np.int32)
    return Vector((q, k, v, zero, *constants), (np.array([[[1, 255], [1, 255]]], np.uint8),))


vectors = (_vector(),)

OPERATOR = Operator(Attention, reference, bounds, vectors)
