"""Gelu: unsigned 8 bits in and out, in the 8-bit domain, without a table.

    gelu(v) = relu(v) - g(|v|),   g(a) ~ gamma * a * b * (b**2 + LIFT * T**2),  b = max(T - a, 0)

With v = (x - knee) * step and T = knee * step:

    relu  = max(x, knee) - knee
    b     = min(x, knee - min(relu, knee));   a = knee - b
    delta = (a * b * (b**2 + lift) + divisor / 2) / divisor
    y     = factor * relu + (zero - delta)              step of y: step / factor
    lift  = LIFT * knee**2;   divisor = 1 / (factor * gamma * step**3)

GELU leaves nothing but [-0.17, 0] of all that is below the knee, so that most channels have codes
to spare: the step of the output may be a whole part of the input's. All constants are per channel.

Constraints
    (C1) 0 <= knee <= 181, 0 <= lift, knee**2 + lift < 2**15
    (C2) a * b * (b**2 + lift) + divisor / 2 < 2**31
    (C3) 0 <= zero - delta, y <= 255 for every x that occurs
Error
    |y_real - gelu| <= 0.0049 + step_y / 2 (erf form), 0.0044 + step_y / 2 (tanh form)
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

__all__ = ["HIGHEST", "OPERATOR", "delta", "dividend", "fit", "grid", "output_zero", "parameters"]

#: (T, gamma) by ONNX's name of the variant. gamma: least squares under a Gaussian weight of
#: deviation 1.3, where inputs lie. T and LIFT balance that error with the largest one and with the
#: slope at 0, which is all that small inputs see: a larger LIFT errs less in the mean there.
_FITS = {"none": (3.0, 0.018841), "tanh": (3.0, 0.018853)}
LIFT = 0.0237
#: Minimum of the fit to GELU, rounded away from zero.
_LOWEST = 0.1679
#: Largest knee whose square fits int16.
_KNEE = 181
#: Largest input that the grids use, and what it stands for at least: what is seldom so large has
#: most to say. There the output has twice the input's resolution.
HIGHEST, _REACH = 238, 3.05
_TWO = onnx.numpy_helper.from_array(np.array(2, np.int32))


@script(DOMAIN, default_opset=op)
def Gelu(x: UINT8, knee: INT32, lift: INT32, divisor: INT32, factor: INT32, zero: INT32) -> UINT8:
    """GELU on unsigned 8 bits."""
    knee8 = op.Cast(knee, to=2)
    relu = op.Sub(op.Max(x, knee8), knee8)
    # a * b and b * b stay below 2**15: int16 costs onnxruntime half of int32.
    b = op.Cast(op.Min(x, op.Sub(knee8, op.Min(relu, knee8))), to=5)
    a = op.Sub(op.Cast(knee, to=5), b)
    lifted = op.Add(op.Mul(b, b), op.Cast(lift, to=5))
    product = op.Mul(op.Cast(op.Mul(a, b), to=6), op.Cast(lifted, to=6))
    half = op.Div(divisor, op.Constant(value=_TWO))
    bend = op.Cast(op.Div(op.Add(product, half), divisor), to=2)
    return op.Add(op.Mul(relu, op.Cast(factor, to=2)), op.Sub(op.Cast(zero, to=2), bend))


def fit(variant: str) -> tuple[float, float]:
    """Return (T, gamma) of the erf form ("none") or the tanh form ("tanh")."""
    return _FITS[variant]


def grid(high: Array, variant: str) -> tuple[Array, Array, Array]:
    """Return (step, knee, factor) per channel, of the finest grids that hold [-T, high].

    Args:
        high: largest input.
        variant: "none" for the erf form, "tanh" for the tanh form.
    """
    reach = _FITS[variant][0]
    # Rounding the knee takes up to half a step from what is above it.
    step = (np.maximum(high, _REACH) + reach) / (HIGHEST - 0.5)
    knee = np.rint(reach / step).astype(np.int64)
    twice = 2 * (HIGHEST - knee) + output_zero(step / 2) <= 255
    return step, knee, np.where(twice, 2, 1)


def output_zero(step: Array) -> Array:
    """Return the zero point of y per channel, for steps of y."""
    return np.ceil(_LOWEST / np.asarray(step, np.float64)).astype(np.int64)


def parameters(step: Array, factor: Array | int, variant: str) -> tuple[Array, Array]:
    """Return (lift, divisor) per channel, for steps of x and the knee nearest to T / step.

    The largest value of g grows with gamma * T**4: where the rounded knee moves T, gamma makes up
    for it.
    """
    reach, gamma = fit(variant)
    size = np.asarray(step, np.float64)
    knee = np.maximum(np.rint(reach / size), 1)
    exact = (knee * size / reach) ** 4 / (gamma * size**3)
    return np.rint(LIFT * knee**2), np.clip(np.rint(exact / factor), 1, 2**30)


def dividend(b: Array, knee: Array, lift: Array, divisor: Array) -> Array:
    """Return what delta divides, its rounding half included, int64; see `delta`."""
    return np.asarray((knee - b) * b * (b**2 + lift) + divisor // 2)


def delta(b: Array, knee: Array, lift: Array, divisor: Array) -> Array:
    """Return what GELU lacks of ReLU where the distance from the knee is knee - b, int64."""
    return np.asarray(dividend(b, knee, lift, divisor) // divisor)


def _parts(x: Array, knee: Array) -> tuple[Array, Array]:
    """Return relu and b."""
    relu = np.maximum(x.astype(np.int64), knee) - knee
    return relu, np.minimum(x, knee - np.minimum(relu, knee)).astype(np.int64)


def reference(
    x: Array, knee: Array, lift: Array, divisor: Array, factor: Array, zero: Array
) -> Array:
    """Exact integers."""
    relu, b = _parts(x, knee)
    return np.asarray(factor * relu + (zero - delta(b, knee, lift, divisor)), np.uint8)


def bounds(
    x: Operand, knee: Operand, lift: Operand, divisor: Operand, factor: Operand, zero: Operand
) -> Interval:
    """Prove C1 to C3 by evaluating every channel at all inputs that occur."""
    k, add, d, times, middle = (
        np.atleast_1d(o.value).astype(np.int64) for o in (knee, lift, divisor, factor, zero)
    )
    if (k < 0).any() or (k > _KNEE).any() or (add < 0).any() or (k**2 + add >= 2**15).any():
        raise RangeProofError("Gelu knee", "breaks C1", "This is a bug: report it")
    relu, b = _parts(np.arange(x.interval.min, x.interval.max + 1)[:, None], k)
    require_fits(Interval.of_constant(dividend(b, k, add, d)), I32, "Gelu product")
    low = middle - delta(b, k, add, d)
    require_fits(Interval.of_constant(low), Interval.of(0, 255), "Gelu minimum")
    y = times * relu + low
    require_fits(Interval.of_constant(y), Interval.of(0, 255), "Gelu result")
    return Interval.of(y.min(0), y.max(0))


vectors = (
    Vector(
        inputs=(
            as_array([[0, 59, 118, 177, 238]], np.uint8),
            as_array([118], np.int32),
            as_array([330], np.int32),
            as_array([1614910], np.int32),
            as_array([2], np.int32),
            as_array([14], np.int32),
        ),
        outputs=(as_array([[14, 6, 14, 124, 254]], np.uint8),),
    ),
)

OPERATOR = Operator(Gelu, reference, bounds, vectors)
