"""LayerNorm: subtract the mean, divide by the standard deviation; gain and shift come later.

    mean = round(sum x / n)
    X    = 2**11 * (x - mean) / sqrt(var + eps)            `rows` does the second line

Inputs after x: eps (n * eps_real / unit**2), ones [n, 1], mean_lift, size, then the constants of
`rows.constants`; `parameters` makes all of them.

Constraints
    (C1) |x| < 2**29 - 2**15
Error
    |X - exact| <= 1/2 + sqrt(n) / 16 + 3e-5 |X| + 2**-15 max |X|, against the rounded mean
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnxscript import INT32, INT64, script
from onnxscript import opset20 as op

from intcc.interval import Interval, Operand, require_fits
from intcc.ops import rows
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array
from intcc.ops.rows import NarrowRows, NormalizeRows

__all__ = ["FRACTION_BITS", "OPERATOR", "parameters"]

FRACTION_BITS = 11
_INPUT = Interval.symmetric(rows.LARGEST_INPUT // 2)
_LIFT_BITS = 30
_LAST = onnx.numpy_helper.from_array(np.array([-1], np.int64))


@script(DOMAIN, default_opset=op)
def LayerNorm(
    x: INT32,
    eps: INT64,
    ones: INT64,
    mean_lift: INT64,
    size: INT64,
    mean_lower: INT64,
    gain: INT64,
    lift: INT32,
    divisor: INT32,
    lower: INT32,
) -> INT32:
    """Zero mean and unit variance per row, Q11."""
    last = op.Constant(value=_LAST)
    # Without the last axis of one, along which onnxruntime would apply scalars one by one.
    total = op.Squeeze(op.MatMul(op.Cast(x, to=7), ones), last)
    mean = op.Sub(op.Div(op.Add(total, mean_lift), size), mean_lower)
    y0 = op.Sub(x, op.Unsqueeze(op.Cast(mean, to=6), last))
    return NormalizeRows(y0, eps, gain, lift, divisor, lower)


def parameters(n: int, eps_real: float, unit: float) -> tuple[Array, ...]:
    """Return the constant inputs for rows of n elements of real step `unit`."""
    return (
        np.array(min(round(n * eps_real / unit**2), 2**60), np.int64),
        np.ones((n, 1), np.int64),
        np.array(n * 2**_LIFT_BITS + n // 2, np.int64),
        np.array(n, np.int64),
        np.array(2**_LIFT_BITS, np.int64),
        *rows.constants(math.sqrt(n), FRACTION_BITS),
    )


def reference(
    x: Array,
    eps: Array,
    ones: Array,
    mean_lift: Array,
    size: Array,
    mean_lower: Array,
    *constants: Array,
) -> Array:
    """Exact integers."""
    n = int(size)
    mean = (x.astype(np.int64).sum(-1, keepdims=True) + n // 2) // n
    return rows.normalize_rows(x - mean, eps, *constants)


def bounds(x: Operand, *constants: Operand) -> Interval:
    """Prove C1; the result is bounded by sqrt(n) whatever the data."""
    require_fits(x.interval, _INPUT, "LayerNorm input")
    return Interval.symmetric(rows.largest_output(math.sqrt(x.shape[-1]), FRACTION_BITS))


vectors = (
    Vector(
        inputs=(as_array([[7, 7, 7, 7], [-3, -1, 1, 3]], np.int32), *parameters(4, 0.0, 1.0)),
        outputs=(as_array([[0, 0, 0, 0], [-2748, -916, 916, 2748]], np.int32),),
    ),
)

OPERATOR = Operator(LayerNorm, reference, bounds, vectors, nested=(NarrowRows, NormalizeRows))
