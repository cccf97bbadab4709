"""SaturatingAdd: sum of two values on one grid, held inside the wide range (residual streams).

    y = clip(a + b, -(2**29 - 2**16), 2**29 - 2**16)            i32, broadcasting

Where scales are found at run time, no bound of a deep sum holds by the weights alone; the grid
then leaves headroom, and the rest saturates.

Constraints
    (C1) |a|, |b| <= 2**30 - 1
Error
    none before saturation
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT32, script
from onnxscript import opset20 as op

from intcc.interval import Interval, Operand, require_fits
from intcc.ops.operator import DOMAIN, WIDE, Array, Operator, Vector, as_array

__all__ = ["OPERATOR"]

_LEAST = onnx.numpy_helper.from_array(np.array(-WIDE, np.int32))
_MOST = onnx.numpy_helper.from_array(np.array(WIDE, np.int32))


@script(DOMAIN, default_opset=op)
def SaturatingAdd(a: INT32, b: INT32) -> INT32:
    """Sum on one grid, saturated."""
    return op.Clip(op.Add(a, b), op.Constant(value=_LEAST), op.Constant(value=_MOST))


def reference(a: Array, b: Array) -> Array:
    """Exact integers."""
    return np.clip(a.astype(np.int64) + b.astype(np.int64), -WIDE, WIDE).astype(np.int32)


def bounds(a: Operand, b: Operand) -> Interval:
    """Prove C1."""
    left, right = a.interval.scalar(), b.interval.scalar()
    for operand in (left, right):
        require_fits(operand, Interval.symmetric(2**30 - 1), "SaturatingAdd operand")
    return (left + right).clip(-WIDE, WIDE)


vectors = (
    Vector(
        inputs=(
            as_array([[-(2**30) + 1, 2**29 - 1, 0, 2**29 - 2**16 - 1]], np.int32),
            as_array([-(2**30) + 1, 2**29 - 1, 5, 1], np.int32),
        ),
        outputs=(as_array([[2**16 - 2**29, 2**29 - 2**16, 5, 2**29 - 2**16]], np.int32),),
    ),
)

OPERATOR = Operator(SaturatingAdd, reference, bounds, vectors)
