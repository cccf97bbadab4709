"""MeanPool: mean over the tokens whose mask is not zero.

    count = max(1, number of non-zero masks);  y = round(sum x / count), half up

x [B, S, C] i32, mask [B, S] i64, y [B, C] i32.

Constraints
    (C1) |x| < 2**31; S < 2**30
Error
    |y - exact| <= 1/2
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT32, INT64, script
from onnxscript import opset20 as op

from intcc.interval import INT32 as I32
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["OPERATOR"]

_ZERO = onnx.numpy_helper.from_array(np.array(0, np.int64))
_ONE = onnx.numpy_helper.from_array(np.array(1, np.int64))
_TWO = onnx.numpy_helper.from_array(np.array(2, np.int64))
_LIFT = onnx.numpy_helper.from_array(np.array(2**31, np.int64))
_AXIS_1 = onnx.numpy_helper.from_array(np.array([1], np.int64))
_AXIS_2 = onnx.numpy_helper.from_array(np.array([2], np.int64))


@script(DOMAIN, default_opset=op)
def MeanPool(x: INT32, mask: INT64) -> INT32:
    """Masked mean over axis 1."""
    axis = op.Constant(value=_AXIS_1)
    one = op.Constant(value=_ONE)
    lift = op.Constant(value=_LIFT)
    keep = op.Sub(one, op.Cast(op.Equal(mask, op.Constant(value=_ZERO)), to=7))
    count = op.Max(op.ReduceSum(keep, axis, keepdims=1), one)
    row = op.Unsqueeze(keep, axis)
    total = op.Squeeze(op.MatMul(row, op.Cast(x, to=7)), axis)
    half = op.Div(count, op.Constant(value=_TWO))
    lifted = op.Add(op.Add(total, half), op.Mul(count, lift))
    return op.Cast(op.Sub(op.Div(lifted, count), lift), to=6)


def reference(x: Array, mask: Array) -> Array:
    """Exact integers."""
    keep = (mask != 0).astype(np.int64)
    count = np.maximum(keep.sum(1, keepdims=True), 1)
    total = np.einsum("bsc,bs->bc", x.astype(np.int64), keep)
    return np.asarray((total + count // 2) // count, np.int32)


def bounds(x: Operand, mask: Operand) -> Interval:
    """A mean stays inside its terms' range (0 where nothing is kept)."""
    require_fits(x.interval, I32, "MeanPool input")
    zero = Interval.of(0, 0)
    return x.interval.hull(zero)


vectors = (
    Vector(
        inputs=(
            as_array([[[-3, 7], [0, 8], [99, 99]]], np.int32),
            as_array([[1, 1, 0]], np.int64),
        ),
        outputs=(as_array([[-1, 8]], np.int32),),
    ),
)

OPERATOR = Operator(MeanPool, reference, bounds, vectors)
