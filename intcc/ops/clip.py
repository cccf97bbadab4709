"""Clip: saturation of a value to constant limits.

    y = min(max(x, lo), hi)                     i32

ReLU6, and with an addition and a product hard sigmoid and hard swish.

Constraints
    (C1) lo <= hi
Error
    none
"""

from __future__ import annotations

import numpy as np
from onnxscript import INT32, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["OPERATOR"]


@script(DOMAIN, default_opset=op)
def Clip(x: INT32, lo: INT32, hi: INT32) -> INT32:
    """Saturation."""
    return op.Clip(x, lo, hi)


def reference(x: Array, lo: Array, hi: Array) -> Array:
    """Exact integers."""
    return np.asarray(np.clip(x, lo, hi), np.int32)


def bounds(x: Operand, lo: Operand, hi: Operand) -> Interval:
    """Prove C1."""
    low, high = int(lo.value), int(hi.value)
    if low > high:
        raise RangeProofError("Clip constants", "break C1", "This is a bug: report it")
    return x.interval.clip(low, high)


vectors = (
    Vector(
        inputs=(
            as_array([[-(2**31), -5, -4], [6, 7, 2**31 - 1]], np.int32),
            as_array(-4, np.int32),
            as_array(6, np.int32),
        ),
        outputs=(as_array([[-4, -4, -4], [6, 6, 6]], np.int32),),
    ),
)

OPERATOR = Operator(Clip, reference, bounds, vectors)
