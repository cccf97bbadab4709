"""DynamicQuantize: one scale per row (token), found in integers.

    amax = max |x|;  k = max(0, bitlen(amax) - 15);  m = max(1, rsh(amax, k))
    R    = floor((127 * 2**22 + floor(m / 2)) / m)      the only division, one per row
    q    = 128 + rsh(rsh(x, k) * R, 22)                 |rsh(x, k) * R| <= 127 * 2**22 + 2**14

    x  ~  (q - 128) * m * 2**k / 127                    1 <= m <= 2**15

The scale travels as (m, k): m i32 [..., 1], k i32 [..., 1]. Per row only, so that every batch
size and every split of a sequence give the same bits. A row of zeros gives q = 128, m = 1, k = 0.

Constraints
    (C1) |x| < 2**30 - 2**16
Error
    |q - 128 - 127 x / amax| <= 0.512 of one step
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import INT32, UINT8, script
from onnxscript import opset20 as op

from intcc.interval import Interval, Operand, require_fits
from intcc.ops import rows
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array
from intcc.ops.rows import NarrowRows

__all__ = ["LARGEST_MANTISSA", "OPERATOR", "STEPS", "ZERO"]

#: Steps between zero and the largest magnitude, and the code of zero.
STEPS, ZERO = 127, 128
#: Bound of m.
LARGEST_MANTISSA = 2**rows.ROW_BITS

_EXPONENT = np.arange(16)
#: By the shift k of a row: 2**k and its half.
_POWER = onnx.numpy_helper.from_array((1 << _EXPONENT).astype(np.int32))
_HALF_POWER = onnx.numpy_helper.from_array((1 << _EXPONENT >> 1).astype(np.int32))
_STEPS = onnx.numpy_helper.from_array(np.array(STEPS << 22, np.int32))
_LIFT = onnx.numpy_helper.from_array(np.array((ZERO << 22) + 2**21, np.int32))
_DIVISOR = onnx.numpy_helper.from_array(np.array(2**22, np.int32))
_ONE = onnx.numpy_helper.from_array(np.array(1, np.int32))
_LAST = onnx.numpy_helper.from_array(np.array([-1], np.int64))
_TWO = onnx.numpy_helper.from_array(np.array(2, np.int32))


@script(DOMAIN, default_opset=op)
def DynamicQuantize(x: INT32) -> tuple[UINT8, INT32, INT32]:
    """Unsigned 8 bits with a mantissa and an exponent per row."""
    last = op.Constant(value=_LAST)
    y, amax, k = NarrowRows(x)
    lifted_max = op.Add(amax, op.Gather(op.Constant(value=_HALF_POWER), k))
    narrow_max = op.Div(lifted_max, op.Gather(op.Constant(value=_POWER), k))
    m = op.Max(narrow_max, op.Constant(value=_ONE))
    half = op.Div(m, op.Constant(value=_TWO))
    r = op.Div(op.Add(half, op.Constant(value=_STEPS)), m)
    lifted = op.Add(op.Mul(y, op.Unsqueeze(r, last)), op.Constant(value=_LIFT))
    q = op.Cast(op.Div(lifted, op.Constant(value=_DIVISOR)), to=2)
    return q, op.Unsqueeze(m, last), op.Unsqueeze(k, last)


def reference(x: Array) -> tuple[Array, Array, Array]:
    """Exact integers."""
    y, k = rows.narrow_rows(x)
    amax = np.abs(x.astype(np.int64)).max(-1, keepdims=True)
    m = np.maximum((amax + (1 << k >> 1)) >> k, 1)
    r = ((STEPS << 22) + m // 2) // m
    q = ZERO + ((y * r + 2**21) >> 22)
    return q.astype(np.uint8), m.astype(np.int32), k.astype(np.int32)


def bounds(x: Operand) -> tuple[Interval, Interval, Interval]:
    """Prove C1; codes stay in 1 ... 255 whatever the data."""
    require_fits(x.interval, Interval.symmetric(rows.LARGEST_INPUT), "DynamicQuantize input")
    length = x.interval.magnitude.bit_length()
    k = max(0, length - rows.ROW_BITS)
    largest = LARGEST_MANTISSA if k else max(1, x.interval.magnitude)
    codes = Interval.of(ZERO - STEPS, ZERO + STEPS)
    return codes, Interval.of(1, largest), Interval.of(0, k)


vectors = (
    Vector(
        inputs=(
            as_array([[0, 0, 0], [-1, 1, 0], [-(2**29), 2**28, 1], [32767, 258, -32768]], np.int32),
        ),
        outputs=(
            as_array([[128, 128, 128], [1, 255, 128], [1, 192, 128], [255, 129, 1]], np.uint8),
            as_array([[1], [1], [16384], [16384]], np.int32),
            as_array([[0], [0], [15], [1]], np.int32),
        ),
    ),
)

OPERATOR = Operator(DynamicQuantize, reference, bounds, vectors, nested=(NarrowRows,))
