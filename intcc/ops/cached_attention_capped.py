"""CachedAttentionCapped: CachedAttention whose scores pass a soft cap, c * tanh(score / c).

    r_j = clip(rsh(x_j, shift - e), +-(2**31 - 1))      the score, Q12 and base 2
    x'_j = tanh(r_j) * gain                             tanh in Q15, see `tanh`
    z_j = rsh(max(x') - x'_j, gain_shift)               x, e and what follows z: see `cached`

Operands and the inputs up to window are CachedAttention's; `parameters` makes the others: tanh_mul
and tanh_shift with real meaning mul / 2**shift = 2 / c (c in base 2), gain and gain_shift with
gain / 2**gain_shift = c * log2(e) * 2**12 / 2**15.

Constraints
    (C1) to (C4) of CachedAttention
    (C5) 0 <= tanh_mul < 2**31, 1 <= tanh_shift <= 62; 0 <= gain < 2**31, 1 <= gain_shift <= 44
Error
    a score is off by 9.6e-5 c at most; relative RMS against float attention on the same quantized
    keys and values, Gaussian rows, 512 keys: 7e-4 for c = 20, 1.6e-3 for c = 50
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnxscript import INT8, INT32, INT64, script
from onnxscript import opset20 as op

from intcc.dyadic import Dyadic
from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand
from intcc.ops import cached, cached_attention, exponential, tanh
from intcc.ops.cached import CachedContext, CachedDistances, CachedProducts, CachedSight
from intcc.ops.cached_attention import LARGEST_SHIFT, CachedShifts, require_constants
from intcc.ops.exponential import Exponential, Logistic, PowerOfHalf
from intcc.ops.operator import DOMAIN, Array, Operator, Vector
from intcc.ops.tanh import Tanh

__all__ = ["OPERATOR", "parameters"]

#: Bound of r.
_LARGEST_SCORE = 2**31 - 1


def _const(x: int, dtype: type[np.generic]) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.array(x, dtype))


_ONE, _OFFSET = _const(1, np.uint64), _const(cached.LARGEST_SCALED, np.int64)
_LEAST, _MOST = _const(-_LARGEST_SCORE, np.int64), _const(_LARGEST_SCORE, np.int64)


@script(DOMAIN, default_opset=op)
def CachedAttentionCapped(
    q: INT32,
    keys: INT8,
    km: INT32,
    kk: INT32,
    values: INT8,
    vm: INT32,
    vk: INT32,
    grouped: INT64,
    groups: INT64,
    merged: INT64,
    mul: INT64,
    pre: INT64,
    shift: INT64,
    window: INT64,
    tanh_mul: INT64,
    tanh_shift: INT64,
    gain: INT64,
    gain_shift: INT64,
) -> INT32:
    """Causal attention with capped scores on 8-bit keys and values."""
    x, e = CachedProducts(q, keys, km, kk, grouped, mul, pre)
    halves, shifts = CachedShifts(shift)
    offset = op.Constant(value=_OFFSET)
    lifts = op.Add(halves, offset)
    lowers = op.Cast(op.BitShift(op.Cast(offset, to=13), shifts, direction="RIGHT"), to=7)
    lifted = op.Cast(op.Add(x, op.Gather(lifts, e)), to=13)
    whole = op.Cast(op.BitShift(lifted, op.Gather(shifts, e), direction="RIGHT"), to=7)
    score = op.Sub(whole, op.Gather(lowers, e))
    r = op.Cast(op.Clip(score, op.Constant(value=_LEAST), op.Constant(value=_MOST)), to=6)
    capped = op.Mul(op.Cast(Tanh(r, tanh_mul, tanh_shift), to=7), gain)
    one = op.Constant(value=_ONE)
    last_shift = op.Cast(gain_shift, to=13)
    power = op.BitShift(one, last_shift, direction="LEFT")
    half = op.Cast(op.BitShift(power, one, direction="RIGHT"), to=7)
    z = CachedDistances(capped, CachedSight(q, keys, groups, window), half, last_shift)
    return CachedContext(z, values, vm, vk, merged)


def parameters(
    unit_q: float,
    unit_k: float,
    scale: float,
    softcap: float,
    heads: int,
    kv_heads: int,
    dim: int,
    value_dim: int,
    window: int = 0,
) -> tuple[Array, ...]:
    """Return the constant inputs after `vk`.

    Args:
        unit_q: as for CachedAttention.
        unit_k: likewise.
        scale: likewise.
        softcap: c, in the unit of real scores; > 0.
        heads: as for CachedAttention.
        kv_heads: likewise.
        dim: likewise.
        value_dim: likewise.
        window: likewise.
    """
    shape = (heads, kv_heads, dim, value_dim, window)
    cap = softcap * math.log2(math.e) * 2.0**12
    factor = Dyadic.from_real(math.ldexp(cap, -tanh.FRACTION_BITS))
    return (
        *cached_attention.parameters(unit_q, unit_k, scale, *shape),
        *tanh.parameters(1 / cap),
        np.array(factor.mul, np.int64),
        np.array(factor.shift, np.int64),
    )


def reference(
    q: Array,
    keys: Array,
    km: Array,
    kk: Array,
    values: Array,
    vm: Array,
    vk: Array,
    grouped: Array,
    groups: Array,
    merged: Array,
    mul: Array,
    pre: Array,
    shift: Array,
    window: Array,
    tanh_mul: Array,
    tanh_shift: Array,
    gain: Array,
    gain_shift: Array,
) -> Array:
    """Exact integers."""
    x, e = cached.products(q, keys, km, kk, grouped, mul, pre)
    r = np.clip(cached.rsh(x, int(shift) - e), -_LARGEST_SCORE, _LARGEST_SCORE)
    capped = tanh.reference(r, tanh_mul, tanh_shift).astype(np.int64) * int(gain)
    z = cached.distances(capped, cached.in_sight(q, keys, groups, window), gain_shift)
    return cached.context(z, values, vm, vk, merged)


def bounds(
    q: Operand,
    keys: Operand,
    km: Operand,
    kk: Operand,
    values: Operand,
    vm: Operand,
    vk: Operand,
    grouped: Operand,
    groups: Operand,
    merged: Operand,
    mul: Operand,
    pre: Operand,
    shift: Operand,
    window: Operand,
    tanh_mul: Operand,
    tanh_shift: Operand,
    gain: Operand,
    gain_shift: Operand,
) -> Interval:
    """Prove C1 to C5."""
    cached.require_shapes(q, keys, values, grouped, groups, merged)
    cached.require_products(q, keys, km, kk, mul, pre)
    require_constants(shift, window)
    exponential.require_dyadic(tanh_mul, tanh_shift, "CachedAttentionCapped")
    if not (0 <= int(gain.value) < 2**31 and 1 <= int(gain_shift.value) <= LARGEST_SHIFT):
        raise RangeProofError(
            "CachedAttentionCapped constants", "break C5", "This is a bug: report it"
        )
    return cached.value_interval(vm, vk, values)


def _vector() -> Vector:
    plain = cached_attention.vectors[0].inputs
    constants = parameters(2.0**-16, 2.0**-16, 0.5, 0.5, 2, 1, 2, 2)
    o = [[[[34038, -34038], [32766, -32766]], [[35245, -15873], [43688, -21672]]]]
    return Vector((*plain[:7], *constants), (np.array(o, np.int32),))


vectors = (_vector(),)

OPERATOR = Operator(
    CachedAttentionCapped,
    reference,
    bounds,
    vectors,
    nested=(
        PowerOfHalf,
        Exponential,
        Logistic,
        Tanh,
        CachedProducts,
        CachedSight,
        CachedShifts,
        CachedDistances,
        CachedContext,
    ),
)
