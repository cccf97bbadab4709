"""Gelu: unsigned 8 bits in and out, in the 8-bit domain, without a table.

    gelu(v) = relu(v) - g(|v|),   g(a) ~ gamma * a * (T - a)**3   for a < T, else 0

With v = (x - knee) * step and T = knee * step:

    b     = max(knee - |x - knee|, 0);   a = knee - b
    delta = (a * b**3 + divisor / 2) / divisor          divisor = 1 / (gamma * step**3)
    y     = max(x, knee) - delta - offset              zero point of y: knee - offset

Input and output share their step, per channel. The zero point of y leaves room for the
minimum of GELU (-0.17).

Constraints
    (C1) 0 <= knee <= 127
    (C2) a * b**3 + divisor / 2 < 2**31
    (C3) 0 <= y <= 255 for every x
Error
    |y_real - gelu| <= 0.0071 + step / 2 (erf form), 0.0066 + step / 2 (tanh form)
    where knee * step is T; a knee rounded to it adds at most 0.1 * step
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT32, UINT8, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import INT32 as I32
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["OPERATOR", "fit", "output_zero", "parameters"]

#: (T, gamma) by ONNX's name of the variant. gamma: least squares of a * (T - a)**3 under a
#: Gaussian weight of deviation 1.3, where inputs lie. The least maximum (T = 3.13: 0.0060) costs
#: an encoder of six layers 1.4e-4 more of the cosine; a smaller T, more of the maximum.
_FITS = {"none": (3.08, 0.01769177), "tanh": (3.08, 0.01770316)}
#: Minimum of GELU, rounded away from zero.
_LOWEST = 0.17
_TWO = onnx.numpy_helper.from_array(np.array(2, np.int32))


@script(DOMAIN, default_opset=op)
def Gelu(x: UINT8, knee: INT32, divisor: INT32, offset: INT32) -> UINT8:
    """GELU on unsigned 8 bits."""
    knee8 = op.Cast(knee, to=2)
    top = op.Add(knee8, knee8)
    # a * b and b * b stay below 2**14: int16 costs onnxruntime half of int32.
    b = op.Cast(op.Min(op.Sub(top, op.Min(x, top)), x), to=5)
    a = op.Sub(op.Cast(knee, to=5), b)
    product = op.Mul(op.Cast(op.Mul(a, b), to=6), op.Cast(op.Mul(b, b), to=6))
    half = op.Div(divisor, op.Constant(value=_TWO))
    delta = op.Cast(op.Div(op.Add(product, half), divisor), to=2)
    return op.Sub(op.Sub(op.Max(x, knee8), delta), op.Cast(offset, to=2))


def fit(variant: str) -> tuple[float, float]:
    """Return (T, gamma) of the erf form ("none") or the tanh form ("tanh")."""
    return _FITS[variant]


def output_zero(step: Array) -> Array:
    """Return the zero point of y per channel."""
    return np.ceil(_LOWEST / np.asarray(step, np.float64)).astype(np.int64) + 1


def parameters(step: Array, variant: str) -> Array:
    """Return the divisor per channel, for the knee nearest to T / step.

    The largest value of gamma * a * (T - a)**3 grows with T**4: where the rounded knee moves T,
    gamma makes up for it.
    """
    reach, gamma = fit(variant)
    size = np.asarray(step, np.float64)
    knee = np.maximum(np.rint(reach / size), 1)
    exact = (knee * size / reach) ** 4 / (gamma * size**3)
    return np.clip(np.rint(exact), 1, 2**30)


def reference(x: Array, knee: Array, divisor: Array, offset: Array) -> Array:
    """Exact integers."""
    q = x.astype(np.int64)
    b = np.maximum(knee - np.abs(q - knee), 0).astype(np.int64)
    delta = ((knee - b) * b**3 + divisor // 2) // divisor
    return np.asarray(np.maximum(q, knee) - delta - offset, np.uint8)


def bounds(x: Operand, knee: Operand, divisor: Operand, offset: Operand) -> Interval:
    """Prove C1 to C3 by evaluating every channel at all 256 inputs."""
    k = np.atleast_1d(knee.value).astype(np.int64)
    if (k < 0).any() or (k > 127).any():
        raise RangeProofError("Gelu knee", "is outside [0, 127]", "This is a bug: report it")
    q = np.arange(256, dtype=np.int64)[:, None]
    b = np.maximum(k - np.abs(q - k), 0)
    d = divisor.value.astype(np.int64)
    product = (k - b) * b**3
    require_fits(Interval.of_constant(product + d // 2), I32, "Gelu product")
    y = np.maximum(q, k) - (product + d // 2) // d - offset.value
    require_fits(Interval.of_constant(y), Interval.of(0, 255), "Gelu result")
    return Interval.of(y.min(0), y.max(0))


vectors = (
    Vector(
        inputs=(
            as_array([[0, 63, 127, 191, 255]], np.uint8),
            as_array([127], np.int32),
            as_array([4067204], np.int32),
            as_array([119], np.int32),
        ),
        outputs=(as_array([[8, 4, 8, 68, 136]], np.uint8),),
    ),
)

OPERATOR = Operator(Gelu, reference, bounds, vectors)
