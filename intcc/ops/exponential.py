"""The exponential and the logistic curve in integers: what Softmax and the gates share.

    z = min(rsh(d * mul, shift), 17 << 12)             d >= 0; Q12 exponent to the base 2
    n = z >> 12;  f = z & 4095
    h = 449;  h = rsh(h*f, 12) - 3489;  h = rsh(h*f, 12) + 15692
              h = rsh(h*f, 12) - 45420; h = rsh(h*f, 12) + 65536      2**-(f / 4096) in Q16
    e = rsh(min(h, 65535), n)                          2**-(z / 4096) in Q16; 0 from n = 17 on

    D = 65536 + e                                      1 + 2**-(z / 4096) in Q16
    r = 46261 - rsh(D * 30840, 17)                     first guess of 1 / D in Q15
    u = rsh(D * r, 17);  r = rsh(r * (32768 - u), 14)
    u = rsh(D * r, 16);  p = r * (65536 - u)           sigmoid(|x|) in Q30, no division

The ONNX bodies evaluate h with alternating signs, so that every intermediate value is positive
and a shift needs no offset; rsh rounds ties up, hence 2047 in place of 2048 where the sign flips.

Constraints
    (C1) 0 <= d < 2**31, 0 <= mul < 2**31, 1 <= shift <= 62
Error
    e: 2.5e-5 of one; p: 4.5e-5 of one
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnxscript import INT32, INT64, UINT32, script
from onnxscript import opset20 as op

from intcc.dyadic import Dyadic
from intcc.errors import RangeProofError
from intcc.interval import Operand
from intcc.ops.operator import DOMAIN, Array

__all__ = [
    "LARGEST",
    "Exponential",
    "Logistic",
    "PowerOfHalf",
    "exponential",
    "logistic",
    "parameters",
    "power_of_half",
    "require_dyadic",
]

#: Largest exponent in Q12: 2**-17 in Q16 rounds to nothing.
LARGEST = 17 << 12


def _u32(x: int) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.array(x, np.uint32))


def _u64(x: int) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.array(x, np.uint64))


_ONE64, _LARGEST = _u64(1), _u64(LARGEST)
_S12, _S16, _S17, _S14, _FRACTION = _u32(12), _u32(16), _u32(17), _u32(14), _u32(4095)
_H0, _H1, _H2 = _u32(449), _u32((3489 << 12) + 2047), _u32((15692 << 12) + 2048)
_H3, _H4 = _u32((45420 << 12) + 2047), _u32((65536 << 12) + 2048)
_TOP, _HALF, _ONE = _u32(65535), _u32(2**15), _u32(2**16)
_GUESS, _SLOPE, _HALF17 = _u32(46261), _u32(30840), _u32(2**16)
_Q15, _HALF14 = _u32(2**15), _u32(2**13)


@script(DOMAIN, default_opset=op)
def PowerOfHalf(z: UINT32) -> tuple[UINT32, UINT32]:
    """h, at most 65535 in Q16, and n with 2**-(z / 2**12) = h * 2**-n; z < 2**32."""
    s12 = op.Constant(value=_S12)
    n = op.BitShift(z, s12, direction="RIGHT")
    f = op.BitwiseAnd(z, op.Constant(value=_FRACTION))
    h0 = op.Mul(f, op.Constant(value=_H0))
    h1 = op.BitShift(op.Sub(op.Constant(value=_H1), h0), s12, direction="RIGHT")
    h2 = op.BitShift(op.Sub(op.Constant(value=_H2), op.Mul(h1, f)), s12, direction="RIGHT")
    h3 = op.BitShift(op.Sub(op.Constant(value=_H3), op.Mul(h2, f)), s12, direction="RIGHT")
    h4 = op.BitShift(op.Sub(op.Constant(value=_H4), op.Mul(h3, f)), s12, direction="RIGHT")
    return op.Min(h4, op.Constant(value=_TOP)), n


@script(DOMAIN, default_opset=op)
def Exponential(d: INT32, mul: INT64, shift: INT64) -> UINT32:
    """2 to the power -d * mul / 2**(shift + 12), Q16."""
    s = op.Cast(shift, to=13)
    one = op.Constant(value=_ONE64)
    half = op.BitShift(op.BitShift(one, s, direction="LEFT"), one, direction="RIGHT")
    product = op.Mul(op.Cast(d, to=13), op.Cast(mul, to=13))
    q12 = op.BitShift(op.Add(product, half), s, direction="RIGHT")
    h, n = PowerOfHalf(op.Cast(op.Min(q12, op.Constant(value=_LARGEST)), to=12))
    power = op.BitShift(op.Constant(value=_ONE), n, direction="RIGHT")
    scaled = op.Mul(h, power)
    lifted = op.Add(scaled, op.Constant(value=_HALF))
    return op.BitShift(lifted, op.Constant(value=_S16), direction="RIGHT")


@script(DOMAIN, default_opset=op)
def Logistic(x: INT32, mul: INT64, shift: INT64) -> UINT32:
    """Logistic curve of |x|, Q30."""
    s17 = op.Constant(value=_S17)
    s16 = op.Constant(value=_S16)
    one = op.Constant(value=_ONE)
    d = op.Add(Exponential(op.Abs(x), mul, shift), one)
    half = op.Constant(value=_HALF17)
    slope = op.Add(op.Mul(d, op.Constant(value=_SLOPE)), half)
    r0 = op.Sub(op.Constant(value=_GUESS), op.BitShift(slope, s17, direction="RIGHT"))
    u0 = op.BitShift(op.Add(op.Mul(d, r0), half), s17, direction="RIGHT")
    step = op.Mul(r0, op.Sub(op.Constant(value=_Q15), u0))
    lifted = op.Add(step, op.Constant(value=_HALF14))
    r1 = op.BitShift(lifted, op.Constant(value=_S14), direction="RIGHT")
    half16 = op.Constant(value=_HALF)
    u1 = op.BitShift(op.Add(op.Mul(d, r1), half16), s16, direction="RIGHT")
    return op.Mul(r1, op.Sub(one, u1))


def parameters(unit: float) -> tuple[Array, Array]:
    """Return (mul, shift) for e**-(d * unit).

    Args:
        unit: real size of one step of d, nats.
    """
    scale = Dyadic.from_real(unit * math.log2(math.e) * 2.0**12)
    return np.array(scale.mul, np.int64), np.array(scale.shift, np.int64)


def _rsh(x: Array, shift: int) -> Array:
    return (x + (1 << (shift - 1))) >> shift


def exponential(d: Array, mul: Array, shift: Array) -> Array:
    """Exact integers."""
    s = int(shift)
    z = np.minimum((d.astype(np.int64) * int(mul) + (1 << s >> 1)) >> s, LARGEST)
    h, n = power_of_half(z)
    return np.asarray((h + (np.left_shift(1, n) >> 1)) >> n)


def power_of_half(z: Array) -> tuple[Array, Array]:
    """Exact integers."""
    n, f = z >> 12, z & 4095
    h = np.full(z.shape, 449, np.int64)
    for c in (-3489, 15692, -45420, 65536):
        h = _rsh(h * f, 12) + c
    return np.minimum(h, 65535), n


def logistic(x: Array, mul: Array, shift: Array) -> Array:
    """Exact integers."""
    d = 65536 + exponential(np.abs(x.astype(np.int64)), mul, shift)
    r = 46261 - _rsh(d * 30840, 17)
    r = _rsh(r * (32768 - _rsh(d * r, 17)), 14)
    return np.asarray(r * (65536 - _rsh(d * r, 16)))


def require_dyadic(mul: Operand, shift: Operand, what: str) -> None:
    """Check (C1) of the constants."""
    if not (0 <= int(mul.value) < 2**31 and 1 <= int(shift.value) <= 62):
        raise RangeProofError(f"{what} constants", "break C1", "This is a bug: report it")
