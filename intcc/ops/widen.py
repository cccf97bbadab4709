"""Widen: from unsigned 8 bits to the int32 grid.

    y = (x - zero) * mul

Constraints
    (C1) |y| < 2**31
Error
    none
"""

from __future__ import annotations

import numpy as np
from onnxscript import INT32, UINT8, script
from onnxscript import opset20 as op

from intcc.interval import INT32 as I32
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["OPERATOR"]


@script(DOMAIN, default_opset=op)
def Widen(x: UINT8, zero: INT32, mul: INT32) -> INT32:
    """Unsigned 8 bits to int32."""
    return op.Mul(op.Sub(op.Cast(x, to=6), zero), mul)


def reference(x: Array, zero: Array, mul: Array) -> Array:
    """Exact integers."""
    return ((x.astype(np.int64) - zero) * mul).astype(np.int32)


def bounds(x: Operand, zero: Operand, mul: Operand) -> Interval:
    """Prove C1."""
    y = (x.interval - Interval.of(zero.value, zero.value)) * Interval.of(mul.value, mul.value)
    require_fits(y, I32, "Widen")
    return y


vectors = (
    Vector(
        inputs=(
            as_array([[0, 255], [128, 3]], np.uint8),
            as_array([128, 0], np.int32),
            as_array([2**23, -9], np.int32),
        ),
        outputs=(as_array([[-(2**30), -2295], [0, -27]], np.int32),),
    ),
)

OPERATOR = Operator(Widen, reference, bounds, vectors)
