"""KeyMask: the score addend of a padding mask.

    y[b, 0, 0, s] = 0 where mask[b, s] != 0, else -2**28

An attention score plus -2**28 lies so far below the row's maximum that its numerator is 0, so
padded keys change nothing, not even the last bit.

No constraint, no error.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT32, INT64, script
from onnxscript import opset20 as op

from intcc.interval import Interval, Operand
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["MASKED", "OPERATOR"]

MASKED = -(2**28)

_AXES = onnx.numpy_helper.from_array(np.array([1, 2], np.int64))
_ZERO = onnx.numpy_helper.from_array(np.array(0, np.int64))
_DEPTH = onnx.numpy_helper.from_array(np.array(MASKED, np.int32))


@script(DOMAIN, default_opset=op)
def KeyMask(mask: INT64) -> INT32:
    """Score addend of a padding mask."""
    padded = op.Cast(op.Equal(mask, op.Constant(value=_ZERO)), to=6)
    addend = op.Mul(padded, op.Constant(value=_DEPTH))
    return op.Unsqueeze(addend, op.Constant(value=_AXES))


def reference(mask: Array) -> Array:
    """Exact integers."""
    return np.where(mask != 0, 0, MASKED).astype(np.int32)[:, None, None, :]


def bounds(mask: Operand) -> Interval:
    """No constraint."""
    return Interval.of(MASKED, 0)


vectors = (
    Vector(
        inputs=(as_array([[1, 0], [5, 1]], np.int64),),
        outputs=(as_array([[[[0, MASKED]]], [[[0, 0]]]], np.int32),),
    ),
)

OPERATOR = Operator(KeyMask, reference, bounds, vectors)
