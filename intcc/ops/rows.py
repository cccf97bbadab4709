"""Row normalisation: the core that LayerNorm, RMSNorm and L2Normalize share.

    X = y0 * gain_real / sqrt(sum(y0**2) + eps)            per row, int32 in, int32 out

Steps, all integers:

    sh     = max(0, bitlen(max |y0|) - 15);  y = rsh(y0, sh)              |y| <= 2**15
    v      = max(1, sum y**2 + round(eps / 4**sh))
    u      = v * 4**-e in [2**28, 2**30)                                    e an integer
    r      = 2**44 / sqrt(u), linear between 193 table points              |error| <= 2.3e-5
    R      = r * gain / 2**(44 + e) rounded,   gain = gain_real * 2**Q
    X      = rsh(y * R, shift)                                             |y * R| < 2**30

Since |y| <= sqrt(v), |y * R| <= gain_real * 2**Q whatever the data, so 32 bits are enough.
A row of zeros gives zeros.

Error, with X in units of its last place:

    |X - exact| <= 1/2 + 2.5e-5 |X| + 2**-15 max |X| + |y| * 2**-shift / 2

the last place, the table, the row's 15 bits (to first order) and the rounding of R; the latter is
at most sqrt(n) / 16 for Q11 and a gain of sqrt(n), and 32 for Q20 and a gain of one.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnxscript import INT32, INT64, script
from onnxscript import opset20 as op

from intcc.ops.operator import DOMAIN, Array

__all__ = [
    "LARGEST_INPUT",
    "RSQRT_ERROR",
    "RSQRT_TABLE",
    "NarrowRows",
    "NormalizeRows",
    "bit_length",
    "constants",
    "largest_output",
    "narrow_rows",
    "normalize_rows",
]

#: Relative error of the interpolated reciprocal square root, rounding of R apart.
RSQRT_ERROR = 2.5e-5
#: Magnitude bound of y0: an offset of 2**30 must lift it and its rounding half into int32.
LARGEST_INPUT = 2**30 - 2**16
#: Bits kept of the largest element of a row.
ROW_BITS = 15
#: 2**30 * sqrt(64 / i) for i = 64 ... 256: reciprocal square roots at 193 points.
RSQRT_TABLE = np.array([round(2**30 * math.sqrt(64 / i)) for i in range(64, 257)], np.int64)


def _tensor(array: Array) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(array)


#: Shifts that a row can have, and the one by its largest element's bits above ROW_BITS.
_ROW_SHIFT = np.arange(16)
_ROW_SHIFTS = _tensor(np.repeat(_ROW_SHIFT, [1, *(1 << np.arange(15))]).astype(np.uint8))
_ROW_UNIT = _tensor(np.array(2**ROW_BITS, np.int32))
#: By the shift of a row: lift, divisor and lower of its rsh.
_ROW_TABLE = _tensor(
    np.stack([2**30 + (1 << _ROW_SHIFT) // 2, 1 << _ROW_SHIFT, 2**30 >> _ROW_SHIFT], -1).astype(
        np.int32
    )
)
_ROW_SQUARE = _tensor((1 << (2 * _ROW_SHIFT)).astype(np.int64))
_ROW_HALF_SQUARE = _tensor(((1 << (2 * _ROW_SHIFT)) // 2).astype(np.int64))

#: Exponent e by the number of powers of four that v reaches: u = v * 4**-e has 29 or 30 bits.
_HALF_EXPONENT = np.arange(32) - 15
_SUM_POWERS = _tensor(np.int64(1) << (2 * np.arange(31)))
#: By that number: u = v * up / down;  R = (r * gain + half) / divisor.
_SUM_UP = _tensor(np.int64(1) << np.maximum(0, -2 * _HALF_EXPONENT))
_SUM_DOWN = _tensor(np.int64(1) << np.maximum(0, 2 * _HALF_EXPONENT))
_SUM_HALF = _tensor(np.int64(1) << (43 + _HALF_EXPONENT))
_SUM_SCALE = _tensor(np.int64(1) << (44 + _HALF_EXPONENT))

# Between points c and c + 1, at u / 2**22 = c + f:  T[c] - floor(drop * f) equals
# T[c] + c * drop - floor(drop * u / 2**22), since c * drop is whole. Cells below 64 belong to
# rows of zeros.
_DROPS = np.append(RSQRT_TABLE[:-1] - RSQRT_TABLE[1:], 0)
_DROP = _tensor(np.concatenate([np.zeros(64, np.int64), _DROPS]))
_INTERCEPT = _tensor(
    np.concatenate([np.zeros(64, np.int64), RSQRT_TABLE + np.arange(64, 257) * _DROPS])
)
_LAST = _tensor(np.array([-1], np.int64))
_BEFORE_LAST = _tensor(np.array([-2], np.int64))
_LAST_TWO = _tensor(np.array([-2, -1], np.int64))
_CELL = _tensor(np.array(2**22, np.int64))


# What a row has one of has no last axis: onnxruntime applies scalars to an axis of one one by one.


@script(DOMAIN, default_opset=op)
def NarrowRows(x: INT32) -> tuple[INT32, INT32, INT32]:
    """rsh(x, sh) and, without the last axis, max |x| and sh of each row."""
    last = op.Constant(value=_LAST)
    largest = op.ReduceMax(op.Abs(x), last, keepdims=0)
    high = op.Div(largest, op.Constant(value=_ROW_UNIT))
    sh = op.Gather(op.Cast(op.Constant(value=_ROW_SHIFTS), to=6), high)
    row = op.Gather(op.Constant(value=_ROW_TABLE), sh)
    lift, divisor, lower = op.Split(row, axis=-1, num_outputs=3)
    y = op.Sub(op.Div(op.Add(x, lift), divisor), lower)
    return y, largest, sh


@script(DOMAIN, default_opset=op)
def NormalizeRows(
    y0: INT32, eps: INT64, gain: INT64, lift: INT32, divisor: INT32, lower: INT32
) -> INT32:
    """y0 * gain / sqrt(sum of squares + eps) per row."""
    last = op.Constant(value=_LAST)
    y, _, sh = NarrowRows(y0)
    # Each row times itself: a product of matrices adds as it multiplies.
    y64 = op.Cast(y, to=7)
    inner = op.MatMul(op.Unsqueeze(y64, op.Constant(value=_BEFORE_LAST)), op.Unsqueeze(y64, last))
    squares = op.Squeeze(inner, op.Constant(value=_LAST_TWO))
    # eps is a constant, so this table of it is made when the model is loaded.
    half_square = op.Constant(value=_ROW_HALF_SQUARE)
    by_shift = op.Div(op.Add(half_square, eps), op.Constant(value=_ROW_SQUARE))
    v = op.Add(squares, op.Gather(by_shift, sh))
    reached = op.GreaterOrEqual(op.Unsqueeze(v, last), op.Constant(value=_SUM_POWERS))
    fours = op.ReduceSum(op.Cast(reached, to=6), last, keepdims=0)
    lifted = op.Mul(v, op.Gather(op.Constant(value=_SUM_UP), fours))
    u = op.Div(lifted, op.Gather(op.Constant(value=_SUM_DOWN), fours))
    cell = op.Div(u, op.Constant(value=_CELL))
    drop = op.Div(op.Mul(op.Gather(op.Constant(value=_DROP), cell), u), op.Constant(value=_CELL))
    r = op.Sub(op.Gather(op.Constant(value=_INTERCEPT), cell), drop)
    half = op.Gather(op.Constant(value=_SUM_HALF), fours)
    scale = op.Gather(op.Constant(value=_SUM_SCALE), fours)
    factor = op.Cast(op.Div(op.Add(op.Mul(r, gain), half), scale), to=6)
    product = op.Mul(y, op.Unsqueeze(factor, last))
    return op.Sub(op.Div(op.Add(product, lift), divisor), lower)


def constants(gain_real: float, fraction_bits: int) -> tuple[Array, ...]:
    """Return gain, lift, divisor and lower for X = gain_real * y0 / norm in Q`fraction_bits`.

    Q is the largest exponent with gain_real * 2**Q * (1 + RSQRT_ERROR) < 2**30.
    """
    q = 29 - math.floor(math.log2(gain_real * (1 + 2e-4)))
    shift = q - fraction_bits
    assert shift >= 1, "too many fraction bits for so long a row"
    return (
        np.array(round(gain_real * 2.0**q), np.int64),
        np.array(2**30 + 2 ** (shift - 1), np.int32),
        np.array(2**shift, np.int32),
        np.array(2 ** (30 - shift), np.int32),
    )


def largest_output(gain_real: float, fraction_bits: int) -> int:
    """Bound of |X|."""
    return math.floor(gain_real * (1 + 2e-4) * 2.0**fraction_bits) + 2


def bit_length(x: Array) -> Array:
    """Bit length of non-negative integers, exactly."""
    length = np.zeros(x.shape, np.int64)
    rest = x.astype(np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        big = rest >= (np.int64(1) << step)
        length += np.where(big, step, 0)
        rest = np.where(big, rest >> step, rest)
    return length + (rest > 0)


def narrow_rows(x: Array) -> tuple[Array, Array]:
    """Return rsh(x, sh) and sh per row: what ROW_BITS bits hold of the largest element."""
    x = x.astype(np.int64)
    sh = np.maximum(0, bit_length(np.abs(x).max(-1, keepdims=True)) - ROW_BITS)
    return (x + ((1 << sh) >> 1)) >> sh, sh


def normalize_rows(
    y0: Array, eps: Array, gain: Array, lift: Array, divisor: Array, lower: Array
) -> Array:
    """Exact integers, by shifts instead of table-driven divisions."""
    y, sh = narrow_rows(y0)
    squares = (y * y).sum(-1, keepdims=True)
    v = np.maximum(squares + ((int(eps) + ((1 << (2 * sh)) >> 1)) >> (2 * sh)), 1)
    e = np.floor_divide(bit_length(v) - 29, 2)
    u = np.where(e < 0, v << np.maximum(0, -2 * e), v >> np.maximum(0, 2 * e))
    cell, rest = (u >> 22) - 64, u & (2**22 - 1)
    drop = RSQRT_TABLE[cell] - RSQRT_TABLE[np.minimum(cell + 1, 192)]
    r = RSQRT_TABLE[cell] - ((drop * rest) >> 22)
    factor = (r * int(gain) + (np.int64(1) << (43 + e))) >> (44 + e)
    shift = int(divisor).bit_length() - 1
    return np.asarray((y * factor + (1 << (shift - 1))) >> shift, np.int32)
