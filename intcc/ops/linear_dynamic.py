"""LinearDynamic: linear layer on rows that carry their own scale.

    acc = (q - 128) @ weight                            q [..., K] u8, weight [K, N] s8
    y   = clip(rsh(acc * m * mul, shift - k) + bias)    one rounding; saturates to +-(2**29 - 2**16)

m, k i32 [..., 1] come from DynamicQuantize; mul i64 [N]; shift one number; bias i32 [N].
Real meaning: y ~ x @ W + b for x ~ (q - 128) * m * 2**k / 127 and
mul / 2**shift = weight step * unit of x / (127 * unit of y); `parameters` picks them.

Constraints
    (C1) the pair bound of Linear
    (C2) |acc| < 2**31 and |acc * m * mul| <= 2**62 for every input
    (C3) k >= 0, 1 <= shift - k, shift <= 62; 0 <= mul < 2**31
Error
    |y - acc * m * 2**k * mul / 2**shift - bias| <= 1/2  before saturation
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnxscript import INT8, INT32, INT64, UINT8, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import INT32 as I32
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.dynamic_quantize import LARGEST_MANTISSA, ZERO
from intcc.ops.linear import product_interval, require_pair_bound
from intcc.ops.operator import DOMAIN, WIDE, Array, Operator, Vector, as_array

__all__ = ["OPERATOR", "RescaleRows", "parameters", "reference", "rescaled"]

#: Bound of |acc * m * mul|; as an offset, a multiple of every 2**(shift - k).
LARGEST_PRODUCT = 2**62
#: Largest k that DynamicQuantize gives.
LARGEST_EXPONENT = 15
#: Largest multiplier of a layer whose weights are rounded to fit their multipliers.
SHORT = 2**15 - 1

_ZERO = onnx.numpy_helper.from_array(np.array(ZERO, np.uint8))
_OFFSET = onnx.numpy_helper.from_array(np.array(LARGEST_PRODUCT, np.uint64))
_ONE = onnx.numpy_helper.from_array(np.array(1, np.uint64))
_LEAST = onnx.numpy_helper.from_array(np.array(-WIDE, np.int64))
_MOST = onnx.numpy_helper.from_array(np.array(WIDE, np.int64))


@script(DOMAIN, default_opset=op)
def RescaleRows(acc: INT32, m: INT32, k: INT32, mul: INT64, shift: INT64, bias: INT32) -> INT32:
    """Products of rows with a scale each, brought to one grid."""
    scaled = op.Mul(op.Cast(acc, to=13), op.Cast(m, to=13))
    product = op.Mul(scaled, op.Cast(mul, to=13))
    s = op.Cast(op.Sub(shift, op.Cast(k, to=7)), to=13)
    one = op.Constant(value=_ONE)
    offset = op.Constant(value=_OFFSET)
    half = op.BitShift(op.BitShift(one, s, direction="LEFT"), one, direction="RIGHT")
    lower = op.Cast(op.BitShift(offset, s, direction="RIGHT"), to=7)
    lifted = op.BitShift(op.Add(product, op.Add(offset, half)), s, direction="RIGHT")
    shifted = op.Sub(op.Cast(lifted, to=7), lower)
    y = op.Add(shifted, op.Cast(bias, to=7))
    return op.Cast(op.Clip(y, op.Constant(value=_LEAST), op.Constant(value=_MOST)), to=6)


@script(DOMAIN, default_opset=op)
def LinearDynamic(
    q: UINT8, m: INT32, k: INT32, weight: INT8, mul: INT64, shift: INT64, bias: INT32
) -> INT32:
    """Linear layer with one input scale per row."""
    acc = op.MatMulInteger(q, weight, op.Constant(value=_ZERO))
    return RescaleRows(acc, m, k, mul, shift, bias)


def parameters(scale: Array, weight: Array) -> tuple[Array, Array]:
    """Return (mul, shift) with as many bits as int64 allows.

    Args:
        scale: real factor per channel from acc * m * 2**k to y, > 0.
        weight: the int8 weights, which bound the accumulator.

    Raises:
        RangeProofError: a factor so large that the result saturates for most inputs.
    """
    real = np.atleast_1d(np.asarray(scale, np.float64))
    reach = 127 * int(np.abs(weight.astype(np.int16)).sum(0, dtype=np.int64).max(initial=1))
    limit = min(LARGEST_PRODUCT // (LARGEST_MANTISSA * max(reach, 1)), 2**31 - 1)
    largest = float(real.max())
    shift = min(62, math.floor(math.log2(limit / largest)) if largest > 0 else 62)
    if shift <= LARGEST_EXPONENT:
        raise RangeProofError(
            "LinearDynamic scale",
            f"of {largest:g} leaves a shift of {shift}, at least {LARGEST_EXPONENT + 1} needed",
            "Use a coarser output unit",
        )
    return np.rint(real * 2.0**shift).astype(np.int64), np.array(shift, np.int64)


def short_parameters(scale: Array, terms: int) -> tuple[Array, Array] | None:
    """Return (mul, shift) of 15 bits, for weights that are yet to be rounded: half the storage.

    Where the weights' steps follow mul, so that mul / 2**shift *is* the factor, few bits cost no
    accuracy: a step moves by less than 1/2**8.

    Args:
        scale: real factor per channel, > 0, that the steps aim at.
        terms: length of the sums.

    Returns:
        None where some channel's factor is too small beside the largest one, or a sum too long.
    """
    real = np.atleast_1d(np.asarray(scale, np.float64))
    largest = float(real.max())
    if not largest > 0 or 127 * 128 * terms * LARGEST_MANTISSA * SHORT > LARGEST_PRODUCT:
        return None
    shift = math.floor(math.log2(SHORT / largest))
    mul = np.rint(real * 2.0**shift).astype(np.int64)
    if not LARGEST_EXPONENT < shift <= 62 or mul.min() < SHORT >> 7:
        return None
    return mul, np.array(shift, np.int64)


def reference(
    q: Array, m: Array, k: Array, weight: Array, mul: Array, shift: Array, bias: Array
) -> Array:
    """Exact integers."""
    acc = (q.astype(np.int64) - ZERO) @ weight.astype(np.int64)
    s = int(shift) - k.astype(np.int64)
    y = ((acc * m.astype(np.int64) * mul + (np.left_shift(1, s) >> 1)) >> s) + bias
    return np.asarray(np.clip(y, -WIDE, WIDE), np.int32)


def bounds(
    q: Operand,
    m: Operand,
    k: Operand,
    weight: Operand,
    mul: Operand,
    shift: Operand,
    bias: Operand,
) -> Interval:
    """Prove C1 to C3."""
    require_pair_bound(q.interval, weight.value, "LinearDynamic weight")
    return rescaled(q, m, k, weight, mul, shift, bias)


def rescaled(
    q: Operand,
    m: Operand,
    k: Operand,
    weight: Operand,
    mul: Operand,
    shift: Operand,
    bias: Operand,
) -> Interval:
    """Prove C2 and C3."""
    acc = product_interval(q.interval - ZERO, weight.value)
    require_fits(acc, I32, "LinearDynamic accumulator")
    s, factor = int(shift.value), mul.value.astype(object)
    if (
        k.interval.min < 0
        or s - k.interval.max < 1
        or s > 62
        or not all(0 <= f < 2**31 for f in factor.reshape(-1))
    ):
        raise RangeProofError("LinearDynamic constants", "break C3", "This is a bug: report it")
    product = acc * Interval.of(factor, factor) * m.interval.scalar()
    require_fits(product, Interval.symmetric(LARGEST_PRODUCT), "LinearDynamic product")
    # The widest result has the largest k; the narrowest interval of it holds zero shift too.
    least = s - k.interval.max
    half = 1 << least >> 1
    y = Interval((product.lo + half) >> least, (product.hi + half) >> least)
    return (y.hull(Interval.of(0, 0)) + Interval.of(bias.value, bias.value)).clip(-WIDE, WIDE)


vectors = (
    Vector(
        inputs=(
            as_array([[1, 255], [128, 129]], np.uint8),
            as_array([[32768], [3]], np.int32),
            as_array([[15], [0]], np.int32),
            as_array([[64, -64, 0], [64, 64, 1]], np.int8),
            as_array([2**20, 2**20, 2**20], np.int64),
            as_array(24, np.int64),
            as_array([7, 2**28, -2], np.int32),
        ),
        outputs=(as_array([[7, 2**29 - 2**16, 2**29 - 2**16], [19, 2**28 + 12, -2]], np.int32),),
    ),
)

OPERATOR = Operator(LinearDynamic, reference, bounds, vectors, nested=(RescaleRows,))
