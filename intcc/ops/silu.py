"""Silu: x times its sigmoid, in the unit of x.

    y = rsh(x * g, 15),  g = Sigmoid(x, mul, shift)      product in 64 bits

Constraints
    (C1) |x| < 2**31, 0 <= mul < 2**31, 1 <= shift <= 62
Error
    |y - exact| <= 1/2 + 5.6e-5 |x|; the tail vanishes where 2**15 * sigmoid(x) < 1/2
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT32, INT64, script
from onnxscript import opset20 as op

from intcc.interval import Interval, Operand, require_fits
from intcc.ops.exponential import Exponential, Logistic, PowerOfHalf, parameters, require_dyadic
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array
from intcc.ops.sigmoid import Sigmoid, gate

__all__ = ["OPERATOR", "Gated", "gated", "parameters"]

# |x * g| <= 2**46, so this lift makes the sum positive; it leaves as 2**31 after the shift.
_LIFT = onnx.numpy_helper.from_array(np.array(2**46 + 2**14, np.uint64))
_LOWER = onnx.numpy_helper.from_array(np.array(2**31, np.uint64))
_S15 = onnx.numpy_helper.from_array(np.array(15, np.uint64))


@script(DOMAIN, default_opset=op)
def Gated(x: INT32, g: INT32) -> INT32:
    """Input times a gate in Q15, 0 <= g <= 2**15."""
    product = op.Mul(op.Cast(x, to=13), op.Cast(g, to=13))
    lifted = op.Add(product, op.Constant(value=_LIFT))
    shifted = op.BitShift(lifted, op.Constant(value=_S15), direction="RIGHT")
    return op.Cast(op.Sub(shifted, op.Constant(value=_LOWER)), to=6)


@script(DOMAIN, default_opset=op)
def Silu(x: INT32, mul: INT64, shift: INT64) -> INT32:
    """Input times its logistic curve."""
    return Gated(x, Sigmoid(x, mul, shift))


def gated(x: Array, g: Array) -> Array:
    """Exact integers."""
    return np.asarray((x.astype(np.int64) * g + 2**14) >> 15, np.int32)


def reference(x: Array, mul: Array, shift: Array) -> Array:
    """Exact integers."""
    return gated(x, gate(x, mul, shift))


def bounds(x: Operand, mul: Operand, shift: Operand) -> Interval:
    """Prove C1; 0 <= g <= 1 keeps y between 0 and x."""
    require_fits(x.interval, Interval.symmetric(2**31 - 1), "Silu input")
    require_dyadic(mul, shift, "Silu")
    return x.interval.hull(Interval.of(0, 0))


vectors = (
    Vector(
        inputs=(
            as_array([-(2**31) + 1, -4096, -1, 0, 1, 4096, 2**31 - 1], np.int32),
            as_array(4, np.int64),
            as_array(2, np.int64),
        ),
        outputs=(as_array([0, -1365, 0, 0, 1, 2731, 2**31 - 1], np.int32),),
    ),
)

OPERATOR = Operator(
    Silu, reference, bounds, vectors, nested=(PowerOfHalf, Exponential, Logistic, Sigmoid, Gated)
)
