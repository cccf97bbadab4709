"""Product: two computed values, element by element, on a dyadic grid.

    y = clip(rsh(a * b, shift), lo, hi)                 product in 64 bits; a, b i32

SwiGLU multiplies its two branches, squared ReLU a value by itself. `b` may have extent 1 where
`a` has more; `shift` is one number, and rsh by 0 is the identity. The body is that of Rescale,
whose multiplier may be any array.

Constraints
    (C1) |a * b| <= 2**62 for every input               true of any two int32
    (C2) 0 <= shift <= 62; lo <= hi
Error
    |y - a * b / 2**shift| <= 1/2                       before saturation
"""

from __future__ import annotations

import numpy as np
from onnxscript import INT32, INT64, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand, require_fits
from intcc.ops import rescale
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array
from intcc.ops.rescale import LARGEST_PRODUCT, Rescale

__all__ = ["OPERATOR"]


@script(DOMAIN, default_opset=op)
def Product(a: INT32, b: INT32, shift: INT64, lo: INT32, hi: INT32) -> INT32:
    """Product of two values with saturation."""
    return Rescale(a, op.Cast(b, to=7), shift, lo, hi)


def reference(a: Array, b: Array, shift: Array, lo: Array, hi: Array) -> Array:
    """Exact integers."""
    return rescale.reference(a, b.astype(np.int64), shift, lo, hi)


def bounds(a: Operand, b: Operand, shift: Operand, lo: Operand, hi: Operand) -> Interval:
    """Prove C1 and C2; bounds per channel stay per channel where the channels match."""
    s, low, high = int(shift.value), int(lo.value), int(hi.value)
    if not 0 <= s <= 62 or low > high:
        raise RangeProofError("Product constants", "break C2", "This is a bug: report it")
    left, right = a.interval, b.interval
    if left.lo.shape != right.lo.shape and left.lo.shape and right.lo.shape:
        left, right = left.scalar(), right.scalar()
    product = left * right
    require_fits(product, Interval.symmetric(LARGEST_PRODUCT), "Product")
    half = 1 << s >> 1
    return Interval((product.lo + half) >> s, (product.hi + half) >> s).clip(low, high)


vectors = (
    Vector(
        inputs=(
            as_array([[-(2**31), -(2**31), 2**31 - 1, -3, -1, 1, 3, 0]], np.int32),
            as_array([[-(2**31), 2**31 - 1, 2**31 - 1, 1, 1, 1, 1, -7]], np.int32),
            as_array(1, np.int64),
            as_array(-(2**31), np.int32),
            as_array(2**31 - 1, np.int32),
        ),
        outputs=(as_array([[2**31 - 1, -(2**31), 2**31 - 1, -1, 0, 1, 2, 0]], np.int32),),
    ),
    Vector(
        inputs=(
            as_array([[5, -6, 7], [2**30, -(2**30), 1]], np.int32),
            as_array([[3], [-(2**31)]], np.int32),
            as_array(0, np.int64),
            as_array(-20, np.int32),
            as_array(20, np.int32),
        ),
        outputs=(as_array([[15, -18, 20], [-20, 20, -20]], np.int32),),
    ),
)

OPERATOR = Operator(Product, reference, bounds, vectors, nested=(Rescale,))
