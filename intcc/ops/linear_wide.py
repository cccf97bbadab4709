"""LinearWide: unsigned activations times signed weights, onto the int32 grid.

    y = (x @ weight) * mul + bias               x [..., K] u8, weight [K, N] s8, y [..., N] i32

The weight step is an integer multiple `mul` of the output's grid, so nothing is rounded.

Constraints
    (C1) the pair bound of Linear
    (C2) |(x @ weight) * mul| and |y| < 2**31 for every input
Error
    none: the result is exact
"""

from __future__ import annotations

import numpy as np
from onnxscript import INT8, INT32, UINT8, script
from onnxscript import opset20 as op

from intcc.interval import INT32 as I32
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.exact import exact_product
from intcc.ops.linear import product_interval, require_pair_bound
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["OPERATOR"]


@script(DOMAIN, default_opset=op)
def LinearWide(x: UINT8, weight: INT8, mul: INT32, bias: INT32) -> INT32:
    """Unsigned 8-bit linear layer with int32 result."""
    acc = op.MatMulInteger(x, weight)
    return op.Add(op.Mul(acc, mul), bias)


def reference(x: Array, weight: Array, mul: Array, bias: Array) -> Array:
    """Exact integers."""
    acc = exact_product(x, weight)
    return (acc * mul + bias).astype(np.int32)


def bounds(x: Operand, weight: Operand, mul: Operand, bias: Operand) -> Interval:
    """Prove C1 and C2."""
    require_pair_bound(x.interval, weight.value, "LinearWide weight")
    scaled = product_interval(x.interval, weight.value) * Interval.of(mul.value, mul.value)
    require_fits(scaled, I32, "LinearWide product")
    y = scaled + Interval.of(bias.value, bias.value)
    require_fits(y, I32, "LinearWide result")
    return y


vectors = (
    Vector(
        inputs=(
            as_array([[0, 255], [255, 255], [1, 2]], np.uint8),
            as_array([[64, -64], [64, 1]], np.int8),
            as_array([1000, 3], np.int32),
            as_array([-5, 7], np.int32),
        ),
        outputs=(as_array([[16319995, 772], [32639995, -48188], [191995, -179]], np.int32),),
    ),
)

OPERATOR = Operator(LinearWide, reference, bounds, vectors)
