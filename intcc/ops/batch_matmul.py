"""BatchMatMul: product of two activations, exact in int32.

    y = (a - zero_a) @ (b - 128)             a [..., M, K] u8, b [..., K, N] u8, y [..., M, N] i32

b becomes signed inside, which onnxruntime multiplies several times faster.

Constraints
    (C1) 0 <= a <= 127, 1 <= b <= 255; the pair bound of Linear, 127 * (127 + 127) <= 32767, follows
    (C2) |y| < 2**31
Error
    none: the result is exact
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT32, UINT8, script
from onnxscript import opset20 as op

from intcc.interval import INT32 as I32
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["OPERATOR"]

_128 = onnx.numpy_helper.from_array(np.array(128, np.uint8))


@script(DOMAIN, default_opset=op)
def BatchMatMul(a: UINT8, zero_a: UINT8, b: UINT8) -> INT32:
    """Batched product of activations."""
    signed = op.Cast(op.Sub(b, op.Constant(value=_128)), to=3)
    return op.MatMulInteger(a, signed, zero_a)


def reference(a: Array, zero_a: Array, b: Array) -> Array:
    """Exact integers."""
    left = a.astype(np.int64) - int(zero_a)
    return (left @ (b.astype(np.int64) - 128)).astype(np.int32)


def bounds(a: Operand, zero_a: Operand, b: Operand) -> Interval:
    """Prove C1 and C2."""
    require_fits(a.interval, Interval.of(0, 127), "BatchMatMul left input")
    require_fits(b.interval, Interval.of(1, 255), "BatchMatMul right input")
    term = (a.interval.scalar() - int(zero_a.value)) * (b.interval.scalar() - 128)
    y = term * a.shape[-1]
    require_fits(y, I32, "BatchMatMul result")
    return y


vectors = (
    Vector(
        inputs=(
            as_array([[0, 127], [64, 65]], np.uint8),
            as_array(64, np.uint8),
            as_array([[1, 255, 128], [255, 1, 129]], np.uint8),
        ),
        outputs=(as_array([[16129, -16129, 63], [127, -127, 1]], np.int32),),
    ),
)

OPERATOR = Operator(BatchMatMul, reference, bounds, vectors)
