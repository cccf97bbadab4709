"""Quantize: from the int32 grid to unsigned 8 bits, per channel.

    y = clip((x * mul + bias) / divisor, lo, hi)        truncating division, all in int32

`bias` holds zero * divisor and the rounding half. After the clip at lo >= 0 a truncating and a
flooring division agree, so C may shift or multiply where ONNX divides.

Constraints
    (C1) |x * mul| and |x * mul + bias| < 2**31 for every input
    (C2) divisor >= 1
    (C3) 0 <= lo <= hi <= 255
Error
    |y - (x * mul + b) / divisor| <= 1/2                before saturation, b the bias less the half
"""

from __future__ import annotations

import numpy as np
from onnxscript import INT32, UINT8, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import INT32 as I32
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["OPERATOR"]


@script(DOMAIN, default_opset=op)
def Quantize(x: INT32, mul: INT32, bias: INT32, divisor: INT32, lo: INT32, hi: INT32) -> UINT8:
    """Saturating per-channel quantization."""
    quotient = op.Div(op.Add(op.Mul(x, mul), bias), divisor)
    return op.Cast(op.Clip(quotient, lo, hi), to=2)


def reference(x: Array, mul: Array, bias: Array, divisor: Array, lo: Array, hi: Array) -> Array:
    """Exact integers."""
    t = x.astype(np.int64) * mul + bias
    return np.asarray(np.clip(np.sign(t) * (np.abs(t) // divisor), lo, hi), np.uint8)


def bounds(
    x: Operand, mul: Operand, bias: Operand, divisor: Operand, lo: Operand, hi: Operand
) -> Interval:
    """Prove C1 to C3."""
    low, high = int(lo.value), int(hi.value)
    if (divisor.value < 1).any() or not 0 <= low <= high <= 255:
        raise RangeProofError("Quantize constants", "break C2 or C3", "This is a bug: report it")
    scaled = x.interval * Interval.of(mul.value, mul.value)
    require_fits(scaled, I32, "Quantize product")
    t = scaled + Interval.of(bias.value, bias.value)
    require_fits(t, I32, "Quantize sum")
    d = divisor.value.astype(object)
    return Interval(t.lo // d, t.hi // d).clip(low, high)


vectors = (
    Vector(
        inputs=(
            as_array([[-(2**29), 2**29, 0], [-129, 7, 100]], np.int32),
            as_array([1, 1, 2], np.int32),
            as_array([128, 3, 50], np.int32),
            as_array([1, 7, 16], np.int32),
            as_array(1, np.int32),
            as_array(255, np.int32),
        ),
        outputs=(as_array([[1, 255, 3], [1, 1, 15]], np.uint8),),
    ),
)

OPERATOR = Operator(Quantize, reference, bounds, vectors)
