"""GeluWide: GELU of an int32 value, in the unit of x.

    a = min(rsh(|x| * mul, shift), 6 * 2**13)           |x| in Q13
    v = rsh(a * a, 14)                                  x**2 in Q12
    w = cubic - rsh(v * quintic, 18)                    Q17
    q = rsh(linear + v * w, 16)                         Q13
    t = sign(x) * rsh(a * q, 14)                        exponent to the base 2 in Q12
    y = rsh(x * g, 15),  g = 1 / (1 + 2**-t)            Sigmoid, Q15; product in 64 bits

GELU is x * Phi(x), and 1 / (1 + e**-p(x)) with an odd polynomial p is close to Phi: of degree 5
for the erf form ("none"), of degree 3 for the tanh form, which is defined so. Its coefficients,
times log2(e), are `linear` in Q29, `cubic` in Q17 and `quintic` in Q23.

Constraints
    (C1) |x| < 2**31, 0 <= mul < 2**31, 1 <= shift <= 62
    (C2) no intermediate value leaves uint32
Error
    |y - exact| <= 1/2 + 1.0e-4 |x|; the tail vanishes where 2**15 * g < 1/2
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnxscript import INT32, INT64, script
from onnxscript import opset20 as op

from intcc.dyadic import Dyadic
from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.exponential import Exponential, Logistic, PowerOfHalf, require_dyadic
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array
from intcc.ops.sigmoid import Sigmoid, gate
from intcc.ops.silu import Gated, gated

__all__ = ["OPERATOR", "REACH", "exponent", "parameters"]

#: Coefficients of p by ONNX's name of the variant. The erf form's were fitted on [0, 6] for the
#: least maximum of max(1, x / 1.5) * |1 / (1 + e**-p(x)) - Phi(x)|: 2.4e-5 of Phi, 3.6e-5 of GELU.
_POLYNOMIALS = {
    "none": (1.59534776, 0.0737484095, -0.000666438877),
    "tanh": (2 * math.sqrt(2 / math.pi), 2 * math.sqrt(2 / math.pi) * 0.044715, 0.0),
}
#: Largest |x| that p sees, in Q13: the curve has been flat since about 5.
REACH = 6 << 13

_ONE64 = onnx.numpy_helper.from_array(np.array(1, np.uint64))
_MOST = onnx.numpy_helper.from_array(np.array(REACH, np.uint64))


def _u32(x: int) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.array(x, np.uint32))


_HALF14, _S14, _HALF18, _S18 = _u32(2**13), _u32(14), _u32(2**17), _u32(18)
_HALF16, _S16 = _u32(2**15), _u32(16)
_MINUS = onnx.numpy_helper.from_array(np.array(-1, np.int32))
_PLUS = onnx.numpy_helper.from_array(np.array(1, np.int32))
#: The dyadic one: t is an exponent already.
_UNIT = onnx.numpy_helper.from_array(np.array(2, np.int64))
_UNIT_SHIFT = onnx.numpy_helper.from_array(np.array(1, np.int64))


@script(DOMAIN, default_opset=op)
def GeluWide(
    x: INT32, mul: INT64, shift: INT64, linear: INT32, cubic: INT32, quintic: INT32
) -> INT32:
    """GELU on the input's own grid."""
    s = op.Cast(shift, to=13)
    one = op.Constant(value=_ONE64)
    half = op.BitShift(op.BitShift(one, s, direction="LEFT"), one, direction="RIGHT")
    size = op.Mul(op.Cast(op.Abs(x), to=13), op.Cast(mul, to=13))
    q13 = op.BitShift(op.Add(size, half), s, direction="RIGHT")
    a = op.Cast(op.Min(q13, op.Constant(value=_MOST)), to=12)
    s14, half14 = op.Constant(value=_S14), op.Constant(value=_HALF14)
    v = op.BitShift(op.Add(op.Mul(a, a), half14), s14, direction="RIGHT")
    bend = op.Add(op.Mul(v, op.Cast(quintic, to=12)), op.Constant(value=_HALF18))
    w = op.Sub(op.Cast(cubic, to=12), op.BitShift(bend, op.Constant(value=_S18), direction="RIGHT"))
    base = op.Add(op.Cast(linear, to=12), op.Constant(value=_HALF16))
    q = op.BitShift(op.Add(op.Mul(v, w), base), op.Constant(value=_S16), direction="RIGHT")
    t = op.BitShift(op.Add(op.Mul(a, q), half14), s14, direction="RIGHT")
    sign = op.Clip(x, op.Constant(value=_MINUS), op.Constant(value=_PLUS))
    signed = op.Mul(op.Cast(t, to=6), sign)
    g = Sigmoid(signed, op.Constant(value=_UNIT), op.Constant(value=_UNIT_SHIFT))
    return Gated(x, g)


def parameters(unit: float, approximate: str) -> tuple[Array, Array, Array, Array, Array]:
    """Return (mul, shift, linear, cubic, quintic).

    Args:
        unit: real size of one step of x.
        approximate: "none" for the erf form, "tanh" for the tanh form, as in ONNX.
    """
    scale = Dyadic.from_real(unit * 2.0**13)
    c1, c3, c5 = (c * math.log2(math.e) for c in _POLYNOMIALS[approximate])
    coefficients = (round(c1 * 2**29), round(c3 * 2**17), round(-c5 * 2**23))
    linear, cubic, quintic = (np.array(c, np.int32) for c in coefficients)
    mul, shift = np.array(scale.mul, np.int64), np.array(scale.shift, np.int64)
    return mul, shift, linear, cubic, quintic


def exponent(a: Array, linear: Array, cubic: Array, quintic: Array) -> tuple[Array, list[Array]]:
    """Return |t| for a in Q13, int64, and every intermediate value on the way."""
    square = a * a + 2**13
    v = square >> 14
    bend = v * int(quintic) + 2**17
    w = int(cubic) - (bend >> 18)
    sum16 = v * w + int(linear) + 2**15
    product = a * (sum16 >> 16) + 2**13
    return product >> 14, [square, bend, w, sum16, product]


def reference(
    x: Array, mul: Array, shift: Array, linear: Array, cubic: Array, quintic: Array
) -> Array:
    """Exact integers."""
    s, wide = int(shift), x.astype(np.int64)
    a = np.minimum((np.abs(wide) * int(mul) + (1 << s >> 1)) >> s, REACH)
    t = exponent(a, linear, cubic, quintic)[0] * np.sign(wide)
    return gated(x, gate(t, np.array(2), np.array(1)))


def bounds(
    x: Operand, mul: Operand, shift: Operand, linear: Operand, cubic: Operand, quintic: Operand
) -> Interval:
    """Prove C1, and C2 by evaluating the polynomial everywhere; 0 <= g <= 1 bounds y."""
    require_fits(x.interval, Interval.symmetric(2**31 - 1), "GeluWide input")
    require_dyadic(mul, shift, "GeluWide")
    a = np.arange(REACH + 1, dtype=np.int64)
    values = exponent(a, linear.value, cubic.value, quintic.value)[1]
    if not all(int(v.min()) >= 0 and int(v.max()) < 2**32 for v in values):
        raise RangeProofError("GeluWide constants", "break C2", "This is a bug: report it")
    return x.interval.hull(Interval.of(0, 0))


vectors = (
    Vector(  # the erf form at -1, 1 and beyond, unit 2**-12
        inputs=(
            as_array([-(2**31) + 1, -4096, -1, 0, 1, 4096, 2**31 - 1], np.int32),
            as_array(8, np.int64),
            as_array(2, np.int64),
            as_array(1235662253, np.int32),
            as_array(13946, np.int32),
            as_array(8065, np.int32),
        ),
        outputs=(as_array([0, -650, 0, 0, 1, 3446, 2**31 - 1], np.int32),),
    ),
)

OPERATOR = Operator(
    GeluWide,
    reference,
    bounds,
    vectors,
    nested=(PowerOfHalf, Exponential, Logistic, Sigmoid, Gated),
)
