"""Add: sum of two values on one grid (residual connections, score addends).

    y = a + b                                   i32, broadcasting

Constraints
    (C1) |y| < 2**31 for every input
Error
    none
"""

from __future__ import annotations

import numpy as np
from onnxscript import INT32, script
from onnxscript import opset20 as op

from intcc.interval import INT32 as I32
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["OPERATOR"]


@script(DOMAIN, default_opset=op)
def Add(a: INT32, b: INT32) -> INT32:
    """Sum on one grid."""
    return op.Add(a, b)


def reference(a: Array, b: Array) -> Array:
    """Exact integers."""
    return (a.astype(np.int64) + b.astype(np.int64)).astype(np.int32)


def bounds(a: Operand, b: Operand) -> Interval:
    """Prove C1; bounds per channel stay per channel where the channels match."""
    left, right = a.interval, b.interval
    if left.lo.shape != right.lo.shape and left.lo.shape and right.lo.shape:
        left, right = left.scalar(), right.scalar()
    y = left + right
    require_fits(y, I32, "Add")
    return y


vectors = (
    Vector(
        inputs=(
            as_array([[-(2**30), 2**30 - 1, 0]], np.int32),
            as_array([-(2**30), 2**30, 5], np.int32),
        ),
        outputs=(as_array([[-(2**31), 2**31 - 1, 5]], np.int32),),
    ),
)

OPERATOR = Operator(Add, reference, bounds, vectors)
