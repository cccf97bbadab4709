"""Tanh: hyperbolic tangent in Q15, as 2 sigmoid(2 x) - 1.

    t = min(rsh(p, 14), 2**16) - 2**15,  p = logistic(2 |x|)       see `exponential`
    y = t for x > 0,  -t for x < 0,  0 for x = 0 (t is 0 there too)

(mul, shift) hold the factor 2: mul / 2**shift = unit * 2 * log2(e) * 2**12.

Constraints
    (C1) |x| < 2**31, 0 <= mul < 2**31, 1 <= shift <= 62
Error
    |y / 2**15 - exact| <= 8.0e-5 for a given exponent, 9.6e-5 with its rounding to Q12
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT32, INT64, script
from onnxscript import opset20 as op

from intcc.interval import Interval, Operand, require_fits
from intcc.ops import exponential
from intcc.ops.exponential import Exponential, Logistic, PowerOfHalf
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["FRACTION_BITS", "OPERATOR", "parameters"]

FRACTION_BITS = 15

_HALF = onnx.numpy_helper.from_array(np.array(2**13, np.uint32))
_S14 = onnx.numpy_helper.from_array(np.array(14, np.uint32))
_TWO = onnx.numpy_helper.from_array(np.array(2**16, np.uint32))
_ONE = onnx.numpy_helper.from_array(np.array(2**15, np.int32))
_MINUS = onnx.numpy_helper.from_array(np.array(-1, np.int32))
_PLUS = onnx.numpy_helper.from_array(np.array(1, np.int32))


@script(DOMAIN, default_opset=op)
def Tanh(x: INT32, mul: INT64, shift: INT64) -> INT32:
    """Hyperbolic tangent, Q15."""
    lifted = op.Add(Logistic(x, mul, shift), op.Constant(value=_HALF))
    twice = op.BitShift(lifted, op.Constant(value=_S14), direction="RIGHT")
    above = op.Cast(op.Min(twice, op.Constant(value=_TWO)), to=6)
    sign = op.Clip(x, op.Constant(value=_MINUS), op.Constant(value=_PLUS))
    return op.Mul(op.Sub(above, op.Constant(value=_ONE)), sign)


def parameters(unit: float) -> tuple[Array, Array]:
    """Return (mul, shift) for inputs of real step `unit`."""
    return exponential.parameters(2 * unit)


def reference(x: Array, mul: Array, shift: Array) -> Array:
    """Exact integers."""
    p = exponential.logistic(x, mul, shift)
    t = np.minimum((p + 2**13) >> 14, 2**16) - 2**15
    return np.asarray(np.sign(x.astype(np.int64)) * t, np.int32)


def bounds(x: Operand, mul: Operand, shift: Operand) -> Interval:
    """Prove C1."""
    require_fits(x.interval, Interval.symmetric(2**31 - 1), "Tanh input")
    exponential.require_dyadic(mul, shift, "Tanh")
    return Interval.symmetric(2**FRACTION_BITS)


vectors = (
    Vector(
        inputs=(
            as_array([-(2**31) + 1, -4096, -1, 0, 1, 4096, 2**31 - 1], np.int32),
            as_array(4, np.int64),
            as_array(2, np.int64),
        ),
        outputs=(as_array([-32767, -10922, -3, 0, 3, 10922, 32767], np.int32),),
    ),
)

OPERATOR = Operator(Tanh, reference, bounds, vectors, nested=(PowerOfHalf, Exponential, Logistic))
