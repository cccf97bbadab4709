"""Rotary: rotary position embedding of every head, half-split form.

    y1 = sat(rsh(x1 * cos - x2 * sin, 14))              x1: the first R/2 elements of a head
    y2 = sat(rsh(x2 * cos + x1 * sin, 14))              x2: the next R/2
    y3 = x3                                             x3: the D - R elements that remain

x i32 [B, n, H, D]; cos, sin i32 [1, n, 1, R/2] in Q14, one row per position (`table` rounds real
tables); products in 64 bits; sat clips to +-(2**29 - 1).

Constraints
    (C1) |x| < 2**31, |cos| < 2**15, |sin| < 2**15      so that sums stay below 2**47
    (C2) 2 <= R <= D
Error
    |y - exact| <= 1/2 + (|x1| + |x2|) / 2**15          before saturation
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT32, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["FRACTION_BITS", "LARGEST", "OPERATOR", "table"]

#: Scale of cos and sin.
FRACTION_BITS = 14
#: Saturation of y: a sum of two results fits in 31 bits.
LARGEST = 2**29 - 1
_LARGEST_FACTOR = 2**15 - 1


def _i64(x: int | list[int]) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.array(x, np.int64))


def _u64(x: int) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.array(x, np.uint64))


_AXIS, _START, _END = _i64([3]), _i64([0]), _i64([2**31])
# |x1 * cos| + |x2 * sin| < 2**47: this lift makes sums positive and leaves as 2**33.
_LIFT, _S14 = _u64(2**47 + 2**13), _u64(FRACTION_BITS)
_LEAST, _MOST, _LOWER = _u64(2**33 - LARGEST), _u64(2**33 + LARGEST), _u64(2**33)


@script(DOMAIN, default_opset=op)
def Rotary(x: INT32, cos: INT32, sin: INT32) -> INT32:
    """Rotary position embedding."""
    axis = op.Constant(value=_AXIS)
    half = op.Shape(cos, start=3)
    end = op.Add(half, half)
    x1 = op.Cast(op.Slice(x, op.Constant(value=_START), half, axis), to=13)
    x2 = op.Cast(op.Slice(x, half, end, axis), to=13)
    x3 = op.Slice(x, end, op.Constant(value=_END), axis)
    c, s = op.Cast(cos, to=13), op.Cast(sin, to=13)
    # Unsigned products wrap to the signed ones.
    y1 = op.Sub(op.Mul(x1, c), op.Mul(x2, s))
    y2 = op.Add(op.Mul(x2, c), op.Mul(x1, s))
    lifted = op.Add(op.Concat(y1, y2, axis=3), op.Constant(value=_LIFT))
    shifted = op.BitShift(lifted, op.Constant(value=_S14), direction="RIGHT")
    kept = op.Clip(shifted, op.Constant(value=_LEAST), op.Constant(value=_MOST))
    turned = op.Cast(op.Sub(kept, op.Constant(value=_LOWER)), to=6)
    return op.Concat(turned, x3, axis=3)


def table(real: Array) -> Array:
    """Return real cosines or sines (times a factor, where a model scales them) in Q14.

    Raises:
        RangeProofError: a magnitude of 2 or more.
    """
    scaled = np.rint(np.asarray(real, np.float64) * 2.0**FRACTION_BITS)
    if not (np.abs(scaled) <= _LARGEST_FACTOR).all():
        raise RangeProofError(
            "Rotary table",
            f"reaches {float(np.abs(real).max()):g}, but Q14 holds magnitudes below 2",
            "Report the model to us",
        )
    return scaled.astype(np.int32)


def reference(x: Array, cos: Array, sin: Array) -> Array:
    """Exact integers."""
    half = cos.shape[-1]
    x1, x2 = x[..., :half].astype(np.int64), x[..., half : 2 * half].astype(np.int64)
    turned = np.concatenate([x1 * cos - x2 * sin, x2 * cos + x1 * sin], -1)
    kept = np.clip((turned + 2**13) >> FRACTION_BITS, -LARGEST, LARGEST)
    return np.concatenate([kept.astype(np.int32), x[..., 2 * half :]], -1)


def bounds(x: Operand, cos: Operand, sin: Operand) -> Interval:
    """Prove C1 and C2."""
    require_fits(x.interval, Interval.symmetric(2**31 - 1), "Rotary input")
    for factor in (cos, sin):
        require_fits(factor.interval, Interval.symmetric(_LARGEST_FACTOR), "Rotary table")
    rotated = 2 * cos.shape[-1]
    if not 2 <= rotated <= x.shape[-1]:
        raise RangeProofError("Rotary shapes", "break C2", "This is a bug: report it")
    every = x.interval.scalar()
    turned = every * cos.interval.scalar() + every * Interval.symmetric(sin.interval.magnitude)
    half = 1 << FRACTION_BITS >> 1
    y = Interval((turned.lo + half) >> FRACTION_BITS, (turned.hi + half) >> FRACTION_BITS)
    y = y.clip(-LARGEST, LARGEST)
    return y if rotated == x.shape[-1] else y.hull(every)


vectors = (
    Vector(  # no turn, a quarter turn, an eighth turn; one element that passes
        inputs=(
            as_array(
                [[[[7, -8, 9]], [[7, -8, 9]], [[2**31 - 1, 2**31 - 1, -(2**31) + 1]]]], np.int32
            ),
            as_array([[[[16384]], [[0]], [[11585]]]], np.int32),
            as_array([[[[0]], [[16384]], [[11585]]]], np.int32),
        ),
        outputs=(
            as_array([[[[7, -8, 9]], [[8, 7, 9]], [[0, 2**29 - 1, -(2**31) + 1]]]], np.int32),
        ),
    ),
    Vector(  # two heads share their position's row; ties go up
        inputs=(
            as_array([[[[1, 2, 3, 4], [-1, 0, -1, 0]]]], np.int32),
            as_array([[[[8192, 0]]]], np.int32),
            as_array([[[[8192, -16384]]]], np.int32),
        ),
        outputs=(as_array([[[[-1, 4, 2, -2], [0, 0, -1, 0]]]], np.int32),),
    ),
)

OPERATOR = Operator(Rotary, reference, bounds, vectors)
