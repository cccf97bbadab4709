"""RMSNorm: divide a row by its root mean square; the gain comes later.

    X = 2**11 * x / sqrt(mean(x**2) + eps)                 see `rows`

Inputs after x: eps (n * eps_real / unit**2), ones [n, 1], then `rows.constants`. Nothing
reads ones any more; artifacts that exist have it.

Constraints
    (C1) |x| < 2**30 - 2**16
Error
    |X - exact| <= 1/2 + sqrt(n) / 16 + 3e-5 |X| + 2**-15 max |X|
"""

from __future__ import annotations

import math

import numpy as np
from onnxscript import INT32, INT64, script
from onnxscript import opset20 as op

from intcc.interval import Interval, Operand, require_fits
from intcc.ops import rows
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array
from intcc.ops.rows import NarrowRows, NormalizeRows

__all__ = ["OPERATOR", "parameters"]

FRACTION_BITS = 11


@script(DOMAIN, default_opset=op)
def RMSNorm(
    x: INT32, eps: INT64, ones: INT64, gain: INT64, lift: INT32, divisor: INT32, lower: INT32
) -> INT32:
    """Unit root mean square per row, Q11."""
    return NormalizeRows(x, eps, gain, lift, divisor, lower)


def parameters(n: int, eps_real: float, unit: float) -> tuple[Array, ...]:
    """Return the constant inputs for rows of n elements of real step `unit`."""
    return (
        np.array(min(round(n * eps_real / unit**2), 2**60), np.int64),
        np.ones((n, 1), np.int64),
        *rows.constants(math.sqrt(n), FRACTION_BITS),
    )


def reference(x: Array, eps: Array, ones: Array, *constants: Array) -> Array:
    """Exact integers."""
    return rows.normalize_rows(x, eps, *constants)


def bounds(x: Operand, *constants: Operand) -> Interval:
    """Prove C1; the result is bounded by sqrt(n) whatever the data."""
    require_fits(x.interval, Interval.symmetric(rows.LARGEST_INPUT), "RMSNorm input")
    return Interval.symmetric(rows.largest_output(math.sqrt(x.shape[-1]), FRACTION_BITS))


vectors = (
    Vector(
        inputs=(as_array([[0, 0], [30000, -40000]], np.int32), *parameters(2, 0.0, 1.0)),
        outputs=(as_array([[0, 0], [1738, -2317]], np.int32),),
    ),
)

OPERATOR = Operator(RMSNorm, reference, bounds, vectors, nested=(NarrowRows, NormalizeRows))
