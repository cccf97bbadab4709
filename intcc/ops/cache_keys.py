"""CacheKeys: append the keys of new tokens to those of earlier ones, transposed for attention.

    keys = concat(past, transpose(codes - 128))         [batch, heads, D, past + new]
    km   = concat(past_m, transpose(m));  kk = concat(past_k, transpose(k))

codes u8 [batch, new, heads, D] with m, k i32 [batch, new, heads, 1] come from DynamicQuantize, one
scale per token and head, so that what lies in the cache never changes: appending n tokens at once
or one by one gives the same bits.

Inputs past i8 [batch, heads, D, past], past_m and past_k i32 [batch, heads, 1, past].

Constraints
    (C1) codes in [1, 255], so that -128 never occurs and the pair bound of CachedAttention holds
Error
    none: there is no error, elements only move
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT8, INT32, UINT8, script
from onnxscript import opset20 as op

from intcc.interval import Interval, Operand, require_fits
from intcc.ops.dynamic_quantize import STEPS, ZERO
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["OPERATOR", "cached_interval"]

_ZERO = onnx.numpy_helper.from_array(np.array(ZERO, np.uint8))


@script(DOMAIN, default_opset=op)
def CacheKeys(
    codes: UINT8, m: INT32, k: INT32, past: INT8, past_m: INT32, past_k: INT32
) -> tuple[INT8, INT32, INT32]:
    """Keys of all tokens, [batch, heads, D, total], with mantissas and exponents."""
    signed = op.Cast(op.Sub(codes, op.Constant(value=_ZERO)), to=3)
    keys = op.Concat(past, op.Transpose(signed, perm=[0, 2, 3, 1]), axis=3)
    km = op.Concat(past_m, op.Transpose(m, perm=[0, 2, 3, 1]), axis=3)
    kk = op.Concat(past_k, op.Transpose(k, perm=[0, 2, 3, 1]), axis=3)
    return keys, km, kk


def reference(
    codes: Array, m: Array, k: Array, past: Array, past_m: Array, past_k: Array
) -> tuple[Array, Array, Array]:
    """Exact integers."""
    signed = (codes.astype(np.int16) - ZERO).astype(np.int8)
    pairs = ((past, signed), (past_m, m), (past_k, k))
    keys, km, kk = (np.concatenate([old, new.transpose(0, 2, 3, 1)], 3) for old, new in pairs)
    return keys, km, kk


def cached_interval(codes: Operand, past: Operand, what: str) -> Interval:
    """Prove C1; return the interval of all codes in a cache."""
    require_fits(codes.interval, Interval.of(ZERO - STEPS, ZERO + STEPS), f"{what} codes")
    require_fits(past.interval, Interval.symmetric(STEPS), f"{what} past")
    return (codes.interval - ZERO).scalar().hull(past.interval.scalar())


def bounds(
    codes: Operand, m: Operand, k: Operand, past: Operand, past_m: Operand, past_k: Operand
) -> tuple[Interval, Interval, Interval]:
    """Prove C1."""
    return (
        cached_interval(codes, past, "CacheKeys"),
        m.interval.scalar().hull(past_m.interval.scalar()),
        k.interval.scalar().hull(past_k.interval.scalar()),
    )


vectors = (
    Vector(
        inputs=(
            as_array([[[[1, 255]], [[128, 130]]]], np.uint8),
            as_array([[[[32768]], [[7]]]], np.int32),
            as_array([[[[15]], [[0]]]], np.int32),
            as_array([[[[-127], [127]]]], np.int8),
            as_array([[[[1]]]], np.int32),
            as_array([[[[3]]]], np.int32),
        ),
        outputs=(
            as_array([[[[-127, -127, 0], [127, 127, 2]]]], np.int8),
            as_array([[[[1, 32768, 7]]]], np.int32),
            as_array([[[[3, 15, 0]]]], np.int32),
        ),
    ),
    Vector(
        inputs=(
            as_array([[[[1, 255]]]], np.uint8),
            as_array([[[[2]]]], np.int32),
            as_array([[[[1]]]], np.int32),
            np.zeros((1, 1, 2, 0), np.int8),
            np.zeros((1, 1, 1, 0), np.int32),
            np.zeros((1, 1, 1, 0), np.int32),
        ),
        outputs=(
            as_array([[[[-127], [127]]]], np.int8),
            as_array([[[[2]]]], np.int32),
            as_array([[[[1]]]], np.int32),
        ),
    ),
)

OPERATOR = Operator(CacheKeys, reference, bounds, vectors)
