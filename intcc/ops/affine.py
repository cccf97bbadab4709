"""Affine: integer gain and shift per channel, on the int32 grid.

    y = x * mul + bias

Constraints
    (C1) |x * mul| and |y| < 2**31 for every input
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
def Affine(x: INT32, mul: INT32, bias: INT32) -> INT32:
    """Gain and shift per channel."""
    return op.Add(op.Mul(x, mul), bias)


def reference(x: Array, mul: Array, bias: Array) -> Array:
    """Exact integers."""
    return (x.astype(np.int64) * mul + bias).astype(np.int32)


def bounds(x: Operand, mul: Operand, bias: Operand) -> Interval:
    """Prove C1."""
    scaled = x.interval * Interval.of(mul.value, mul.value)
    require_fits(scaled, I32, "Affine product")
    y = scaled + Interval.of(bias.value, bias.value)
    require_fits(y, I32, "Affine result")
    return y


vectors = (
    Vector(
        inputs=(
            as_array([[-(2**15), 3], [2**15, -4]], np.int32),
            as_array([2**15, -7], np.int32),
            as_array([-1, 10], np.int32),
        ),
        outputs=(as_array([[-(2**30) - 1, -11], [2**30 - 1, 38]], np.int32),),
    ),
)

OPERATOR = Operator(Affine, reference, bounds, vectors)
