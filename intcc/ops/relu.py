"""Relu: the positive part.

    y = max(x, 0)

No constraint, no error.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT32, script
from onnxscript import opset20 as op

from intcc.interval import Interval, Operand
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["OPERATOR"]

_ZERO = onnx.numpy_helper.from_array(np.array(0, np.int32))


@script(DOMAIN, default_opset=op)
def Relu(x: INT32) -> INT32:
    """Positive part."""
    return op.Max(x, op.Constant(value=_ZERO))


def reference(x: Array) -> Array:
    """Exact integers."""
    return np.maximum(x, 0).astype(np.int32)


def bounds(x: Operand) -> Interval:
    """No constraint."""
    return Interval(np.maximum(x.interval.lo, 0), np.maximum(x.interval.hi, 0))


vectors = (
    Vector(
        inputs=(as_array([[-(2**31), -1], [0, 2**31 - 1]], np.int32),),
        outputs=(as_array([[0, 0], [0, 2**31 - 1]], np.int32),),
    ),
)

OPERATOR = Operator(Relu, reference, bounds, vectors)
