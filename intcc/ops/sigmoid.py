"""Sigmoid: 1 / (1 + e**-x) in Q15, without division or table.

    r = min(rsh(p, 15), 2**15),  p = logistic(|x|)       see `exponential`
    y = r for x > 0,  2**15 - r for x < 0,  2**14 for x = 0 (r is 2**14 there too)

(mul, shift) take |x| to a Q12 exponent to the base 2: mul / 2**shift = unit * log2(e) * 2**12.

Constraints
    (C1) |x| < 2**31, 0 <= mul < 2**31, 1 <= shift <= 62
Error
    |y / 2**15 - exact| <= 4.5e-5 for a given exponent, 5.6e-5 with its rounding to Q12
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT32, INT64, script
from onnxscript import opset20 as op

from intcc.interval import Interval, Operand, require_fits
from intcc.ops.exponential import (
    Exponential,
    Logistic,
    PowerOfHalf,
    logistic,
    parameters,
    require_dyadic,
)
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["FRACTION_BITS", "OPERATOR", "gate", "parameters"]

FRACTION_BITS = 15

_HALF = onnx.numpy_helper.from_array(np.array(2**14, np.uint32))
_S15 = onnx.numpy_helper.from_array(np.array(15, np.uint32))
_ONE = onnx.numpy_helper.from_array(np.array(2**15, np.uint32))
_MIDDLE = onnx.numpy_helper.from_array(np.array(2**14, np.int32))
_MINUS = onnx.numpy_helper.from_array(np.array(-1, np.int32))
_PLUS = onnx.numpy_helper.from_array(np.array(1, np.int32))


@script(DOMAIN, default_opset=op)
def Sigmoid(x: INT32, mul: INT64, shift: INT64) -> INT32:
    """Logistic curve, Q15."""
    lifted = op.Add(Logistic(x, mul, shift), op.Constant(value=_HALF))
    r = op.BitShift(lifted, op.Constant(value=_S15), direction="RIGHT")
    above = op.Cast(op.Min(r, op.Constant(value=_ONE)), to=6)
    middle = op.Constant(value=_MIDDLE)
    sign = op.Clip(x, op.Constant(value=_MINUS), op.Constant(value=_PLUS))
    return op.Add(op.Mul(op.Sub(above, middle), sign), middle)


def gate(x: Array, mul: Array, shift: Array) -> Array:
    """Exact integers, int64."""
    r = np.minimum((logistic(x, mul, shift) + 2**14) >> 15, 2**15)
    return np.where(x > 0, r, np.where(x < 0, 2**15 - r, 2**14))


def reference(x: Array, mul: Array, shift: Array) -> Array:
    """Exact integers."""
    return gate(x, mul, shift).astype(np.int32)


def bounds(x: Operand, mul: Operand, shift: Operand) -> Interval:
    """Prove C1."""
    require_fits(x.interval, Interval.symmetric(2**31 - 1), "Sigmoid input")
    require_dyadic(mul, shift, "Sigmoid")
    return Interval.of(0, 2**FRACTION_BITS)


vectors = (
    Vector(
        inputs=(
            as_array([-(2**31) + 1, -4096, -1, 0, 1, 4096, 2**31 - 1], np.int32),
            as_array(4, np.int64),
            as_array(2, np.int64),
        ),
        outputs=(as_array([0, 10923, 16383, 16384, 16385, 21845, 32768], np.int32),),
    ),
)

OPERATOR = Operator(
    Sigmoid, reference, bounds, vectors, nested=(PowerOfHalf, Exponential, Logistic)
)
