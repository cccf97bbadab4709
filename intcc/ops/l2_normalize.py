"""L2Normalize: divide a row by its Euclidean norm.

    y = 2**20 * x / |x|                         x [..., C] i32, |y| <= 2**20; zeros stay zeros

Inputs after x: eps (always 0), ones [C, 1], then `rows.constants`. Nothing
reads ones any more; artifacts that exist have it.

Constraints
    (C1) |x| < 2**30 - 2**16
Error
    |y - exact| <= 33 + 3e-5 |y| + 2**-15 max |y|         3.2e-5 of one, most of it a common
                                                          factor, which leaves angles alone
"""

from __future__ import annotations

import numpy as np
from onnxscript import INT32, INT64, script
from onnxscript import opset20 as op

from intcc.interval import Interval, Operand, require_fits
from intcc.ops import rows
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array
from intcc.ops.rows import NarrowRows, NormalizeRows

__all__ = ["FRACTION_BITS", "OPERATOR", "parameters"]

FRACTION_BITS = 20


@script(DOMAIN, default_opset=op)
def L2Normalize(
    x: INT32, eps: INT64, ones: INT64, gain: INT64, lift: INT32, divisor: INT32, lower: INT32
) -> INT32:
    """Unit Euclidean norm per row, Q20."""
    return NormalizeRows(x, eps, gain, lift, divisor, lower)


def parameters(n: int) -> tuple[Array, ...]:
    """Return the constant inputs for rows of n elements."""
    return (
        np.array(0, np.int64),
        np.ones((n, 1), np.int64),
        *rows.constants(1.0, FRACTION_BITS),
    )


def reference(x: Array, eps: Array, ones: Array, *constants: Array) -> Array:
    """Exact integers."""
    return rows.normalize_rows(x, eps, *constants)


def bounds(x: Operand, *constants: Operand) -> Interval:
    """Prove C1."""
    require_fits(x.interval, Interval.symmetric(rows.LARGEST_INPUT), "L2Normalize input")
    return Interval.symmetric(rows.largest_output(1.0, FRACTION_BITS))


vectors = (
    Vector(
        inputs=(as_array([[0, 0], [30000, -40000]], np.int32), *parameters(2)),
        outputs=(as_array([[0, 0], [629150, -838867]], np.int32),),
    ),
)

OPERATOR = Operator(L2Normalize, reference, bounds, vectors, nested=(NarrowRows, NormalizeRows))
