"""LinearDynamicFull: LinearDynamic whose weights use all 8 bits.

    acc = (q - 128) @ weight                            weight [K, N] s8, -127 ... 127
    y   = clip(rsh(acc * m * mul, shift - k) + bias)    as LinearDynamic

Neighbouring products of such weights pass int16, in which some processors add them up. In ONNX the
weights are therefore halved, w = w / 2 + (w - w / 2), and multiplied twice: both halves are
pair-safe, 255 * (64 + 64) <= 32767. Runtimes that fold constants halve them once, on loading.

Constraints
    (C1) |weight| <= 127; the pair bound 255 * 128 <= 32767 follows for both halves
    (C2), (C3) of LinearDynamic
Error
    as LinearDynamic
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT8, INT32, INT64, UINT8, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand
from intcc.ops import linear_dynamic
from intcc.ops.dynamic_quantize import ZERO
from intcc.ops.linear_dynamic import RescaleRows, rescaled
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["OPERATOR"]

_ZERO = onnx.numpy_helper.from_array(np.array(ZERO, np.uint8))
_TWO = onnx.numpy_helper.from_array(np.array(2, np.int8))


@script(DOMAIN, default_opset=op)
def LinearDynamicFull(
    q: UINT8, m: INT32, k: INT32, weight: INT8, mul: INT64, shift: INT64, bias: INT32
) -> INT32:
    """Linear layer with one input scale per row and weights of 8 bits."""
    zero = op.Constant(value=_ZERO)
    half = op.Div(weight, op.Constant(value=_TWO))
    rest = op.Sub(weight, half)
    acc = op.Add(op.MatMulInteger(q, half, zero), op.MatMulInteger(q, rest, zero))
    return RescaleRows(acc, m, k, mul, shift, bias)


def reference(
    q: Array, m: Array, k: Array, weight: Array, mul: Array, shift: Array, bias: Array
) -> Array:
    """Exact integers."""
    return linear_dynamic.reference(q, m, k, weight, mul, shift, bias)


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
    if weight.interval.magnitude > 127:
        raise RangeProofError(
            "LinearDynamicFull weight",
            f"ranges over [{weight.interval.min}, {weight.interval.max}]",
            "Weights are symmetric: -127 to 127",
        )
    return rescaled(q, m, k, weight, mul, shift, bias)


vectors = (
    Vector(
        inputs=(
            as_array([[1, 255], [255, 255]], np.uint8),
            as_array([[32768], [3]], np.int32),
            as_array([[15], [0]], np.int32),
            as_array([[127, -127, 0], [-127, 127, 1]], np.int8),
            as_array([2**10, 2**20, 2**20], np.int64),
            as_array(24, np.int64),
            as_array([7, 2**28, -2], np.int32),
        ),
        outputs=(
            as_array([[-(2**29) + 2**16, 2**29 - 2**16, 2**29 - 2**16], [7, 2**28, 22]], np.int32),
        ),
    ),
)

OPERATOR = Operator(LinearDynamicFull, reference, bounds, vectors, nested=(RescaleRows,))
