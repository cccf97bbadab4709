"""CacheValues: append the values of new tokens to those of earlier ones.

    values = concat(past, transpose(codes - 128))       [batch, heads, past + new, D]
    vm     = concat(past_m, transpose(m));  vk = concat(past_k, transpose(k))

codes u8 [batch, new, heads, D] with m, k i32 [batch, new, heads, 1] come from DynamicQuantize, one
scale per token and head. CacheKeys lays its codes [D, total], this operator [total, D]: each as
the product of CachedAttention reads them. Mantissas and exponents are i32 [batch, heads, 1, total]
in both.

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

from intcc.interval import Interval, Operand
from intcc.ops.cache_keys import cached_interval
from intcc.ops.dynamic_quantize import ZERO
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["OPERATOR"]

_ZERO = onnx.numpy_helper.from_array(np.array(ZERO, np.uint8))


@script(DOMAIN, default_opset=op)
def CacheValues(
    codes: UINT8, m: INT32, k: INT32, past: INT8, past_m: INT32, past_k: INT32
) -> tuple[INT8, INT32, INT32]:
    """Values of all tokens, [batch, heads, total, D], with mantissas and exponents."""
    signed = op.Cast(op.Sub(codes, op.Constant(value=_ZERO)), to=3)
    values = op.Concat(past, op.Transpose(signed, perm=[0, 2, 1, 3]), axis=2)
    vm = op.Concat(past_m, op.Transpose(m, perm=[0, 2, 3, 1]), axis=3)
    vk = op.Concat(past_k, op.Transpose(k, perm=[0, 2, 3, 1]), axis=3)
    return values, vm, vk


def reference(
    codes: Array, m: Array, k: Array, past: Array, past_m: Array, past_k: Array
) -> tuple[Array, Array, Array]:
    """Exact integers."""
    signed = (codes.astype(np.int16) - ZERO).astype(np.int8)
    pairs = ((past_m, m), (past_k, k))
    vm, vk = (np.concatenate([old, new.transpose(0, 2, 3, 1)], 3) for old, new in pairs)
    return np.concatenate([past, signed.transpose(0, 2, 1, 3)], 2), vm, vk


def bounds(
    codes: Operand, m: Operand, k: Operand, past: Operand, past_m: Operand, past_k: Operand
) -> tuple[Interval, Interval, Interval]:
    """Prove C1."""
    return (
        cached_interval(codes, past, "CacheValues"),
        m.interval.scalar().hull(past_m.interval.scalar()),
        k.interval.scalar().hull(past_k.interval.scalar()),
    )


vectors = (
    Vector(
        inputs=(
            as_array([[[[1, 255]], [[128, 130]]]], np.uint8),
            as_array([[[[32768]], [[7]]]], np.int32),
            as_array([[[[15]], [[0]]]], np.int32),
            as_array([[[[-127, 127]]]], np.int8),
            as_array([[[[1]]]], np.int32),
            as_array([[[[3]]]], np.int32),
        ),
        outputs=(
            as_array([[[[-127, 127], [-127, 127], [0, 2]]]], np.int8),
            as_array([[[[1, 32768, 7]]]], np.int32),
            as_array([[[[3, 15, 0]]]], np.int32),
        ),
    ),
)

OPERATOR = Operator(CacheValues, reference, bounds, vectors)
