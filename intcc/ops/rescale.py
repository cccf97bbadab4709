"""Rescale: an int32 value to another dyadic scale, one rounding, ties towards +infinity.

    y = clip(rsh(x * mul, shift), lo, hi)               product in 64 bits; x [..., C] i32

`mul` is one number or one per channel, of either sign; `shift` is one number.

Constraints
    (C1) |x * mul| <= 2**62 for every input
    (C2) 1 <= shift <= 62; lo <= hi
Error
    |y - x * mul / 2**shift| <= 1/2                      before saturation
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT32, INT64, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["LARGEST_PRODUCT", "OPERATOR"]

#: Bound of |x * mul|. As an offset it is a multiple of every 2**shift, so it leaves exactly.
LARGEST_PRODUCT = 2**62

_OFFSET = onnx.numpy_helper.from_array(np.array(LARGEST_PRODUCT, np.uint64))
_ONE = onnx.numpy_helper.from_array(np.array(1, np.uint64))
_ZERO = onnx.numpy_helper.from_array(np.array(0, np.int64))


@script(DOMAIN, default_opset=op)
def Rescale(x: INT32, mul: INT64, shift: INT64, lo: INT32, hi: INT32) -> INT32:
    """Dyadic rescale with saturation."""
    s = op.Cast(shift, to=13)
    one = op.Constant(value=_ONE)
    offset = op.Constant(value=_OFFSET)
    half = op.BitShift(op.BitShift(one, s, direction="LEFT"), one, direction="RIGHT")
    lower = op.Cast(op.BitShift(offset, s, direction="RIGHT"), to=7)
    # The offset stays in during saturation: unsigned bounds spare a cast.
    least = op.Max(op.Add(op.Cast(lo, to=7), lower), op.Constant(value=_ZERO))
    most = op.Max(op.Add(op.Cast(hi, to=7), lower), op.Constant(value=_ZERO))
    product = op.Mul(op.Cast(x, to=13), op.Cast(mul, to=13))
    lifted = op.BitShift(op.Add(product, op.Add(offset, half)), s, direction="RIGHT")
    kept = op.Clip(lifted, op.Cast(least, to=13), op.Cast(most, to=13))
    return op.Cast(op.Sub(kept, op.Cast(lower, to=13)), to=6)


def reference(x: Array, mul: Array, shift: Array, lo: Array, hi: Array) -> Array:
    """Exact integers."""
    s = int(shift)
    shifted = (x.astype(np.int64) * mul + (1 << s >> 1)) >> s
    return np.asarray(np.clip(shifted, int(lo), int(hi)), np.int32)


def bounds(x: Operand, mul: Operand, shift: Operand, lo: Operand, hi: Operand) -> Interval:
    """Prove C1 and C2."""
    s, low, high = int(shift.value), int(lo.value), int(hi.value)
    if not 1 <= s <= 62 or low > high:
        raise RangeProofError("Rescale constants", "break C2", "This is a bug: report it")
    factor = mul.value.reshape(-1) if mul.value.size > 1 else mul.value.reshape(())
    product = x.interval * Interval.of(factor, factor)
    require_fits(product, Interval.symmetric(LARGEST_PRODUCT), "Rescale product")
    half = 1 << s >> 1
    return Interval((product.lo + half) >> s, (product.hi + half) >> s).clip(low, high)


vectors = (
    Vector(
        inputs=(
            as_array([-(2**31), -3, -2, -1, 0, 1, 2, 3, 2**31 - 1], np.int32),
            as_array(1, np.int64),
            as_array(1, np.int64),
            as_array(-5, np.int32),
            as_array(2**30, np.int32),
        ),
        outputs=(as_array([-5, -1, -1, 0, 0, 1, 1, 2, 2**30], np.int32),),
    ),
    Vector(
        inputs=(
            as_array([[-(2**31), -(2**31), 7]], np.int32),
            as_array([2**31, -(2**31), -3], np.int64),
            as_array(62, np.int64),
            as_array(-(2**31), np.int32),
            as_array(2**31 - 1, np.int32),
        ),
        outputs=(as_array([[-1, 1, 0]], np.int32),),
    ),
)

OPERATOR = Operator(Rescale, reference, bounds, vectors)
