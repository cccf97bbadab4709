"""Softmax: probabilities over the last axis, Q15, for graphs that use them as values.

    e = 2**-((max(x) - x) * mul / 2**(shift + 12))     Q16, see `exponential`
    y = floor((e * 2**15 + floor(S / 2)) / S),  S = sum e

Attention never needs this operator: it divides once per row, after the product with v.

Constraints
    (C1) |x| < 2**30, 0 <= mul < 2**31, 1 <= shift <= 62
    (C2) at most 32767 elements per row, so S < 2**31
Error
    |y / 2**15 - p| <= 2**-16 + 1.8e-4 p + 2.5e-5 top (1 + n p),  top the row's largest p: one
    rounding, the exponent's Q12, and each numerator's 2.5e-5. Tails of thousands of terms below
    2**-16 of the largest are what the last term is about: 2e-3 measured at n = 4096
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT32, INT64, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.exponential import Exponential, PowerOfHalf, exponential, parameters, require_dyadic
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["FRACTION_BITS", "LONGEST", "OPERATOR", "parameters"]

FRACTION_BITS = 15
#: Most elements of a row.
LONGEST = 32767

_LAST = onnx.numpy_helper.from_array(np.array([-1], np.int64))
_Q15 = onnx.numpy_helper.from_array(np.array(2**FRACTION_BITS, np.uint32))
_ONE = onnx.numpy_helper.from_array(np.array(1, np.uint32))


@script(DOMAIN, default_opset=op)
def Softmax(x: INT32, mul: INT64, shift: INT64) -> INT32:
    """Softmax over the last axis, Q15."""
    last = op.Constant(value=_LAST)
    d = op.Sub(op.ReduceMax(x, last, keepdims=1), x)
    e = Exponential(d, mul, shift)
    total = op.Cast(op.ReduceSum(op.Cast(e, to=6), last, keepdims=1), to=12)
    half = op.BitShift(total, op.Constant(value=_ONE), direction="RIGHT")
    quotient = op.Div(op.Add(op.Mul(e, op.Constant(value=_Q15)), half), total)
    return op.Cast(quotient, to=6)


def reference(x: Array, mul: Array, shift: Array) -> Array:
    """Exact integers."""
    wide = x.astype(np.int64)
    e = exponential(wide.max(-1, keepdims=True) - wide, mul, shift)
    total = e.sum(-1, keepdims=True)
    return np.asarray(((e << FRACTION_BITS) + total // 2) // total, np.int32)


def bounds(x: Operand, mul: Operand, shift: Operand) -> Interval:
    """Prove C1 and C2."""
    require_fits(x.interval, Interval.symmetric(2**30 - 1), "Softmax input")
    require_dyadic(mul, shift, "Softmax")
    if x.shape[-1] > LONGEST:
        raise RangeProofError(
            "Softmax",
            f"over {x.shape[-1]} elements passes int32 in its sum, {LONGEST} fit",
            "Use a shorter --max-length",
        )
    return Interval.of(0, 2**FRACTION_BITS)


vectors = (
    Vector(
        inputs=(
            as_array([[-(2**30) + 1, 2**30 - 1], [5, 5], [0, -4096]], np.int32),
            as_array(4, np.int64),
            as_array(2, np.int64),
        ),
        outputs=(as_array([[0, 32768], [16384, 16384], [21845, 10923]], np.int32),),
    ),
)

OPERATOR = Operator(Softmax, reference, bounds, vectors, nested=(PowerOfHalf, Exponential))
