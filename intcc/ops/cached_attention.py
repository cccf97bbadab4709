"""CachedAttention: causal attention of new tokens over a cache of keys and values.

    z_j = rsh(max(x) - x_j, shift - e)       the steps before and after it: see `cached`

q i32 [batch, n, heads, D]; keys i8 [batch, kv_heads, D, total] with km, kk i32 [batch, kv_heads, 1,
total] from CacheKeys; values i8 [batch, kv_heads, total, Dv] with vm, vk from CacheValues, those of
the n new tokens included; o i32 [batch, n, heads, Dv] in the unit of v.

Inputs after vk, from `parameters`: grouped [0, kv_heads, -1, D], groups [heads / kv_heads, 1],
merged [0, heads, -1, Dv], mul, pre, shift, window (2**31 - 1 for none). Real meaning:
mul / 2**(pre + shift) = unit of q * unit of k * scale * log2(e) * 2**12 / 127.

Constraints
    (C1) |q| <= 2**30 - 2**24; keys, values in [-127, 127]; |sum_d y_d key_dj| < 2**31
    (C2) at most 2**17 keys
    (C3) 0 <= mul < 2**31, 1 <= pre <= 62, 18 <= shift <= 44, 1 <= window < 2**31
    (C4) |x| <= 2**60, so |max(x) - x_j| fits and a key out of sight gets exactly nothing
Error
    relative RMS against float attention on the same quantized keys and values, Gaussian rows of
    score deviation up to 3: 3e-4 for 16 keys, 5e-4 for 256, 9e-4 for 2048, most of it the 14 bits
    of a weight; quantizing keys and values to 8 bits costs 6e-3 to 2e-2
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnxscript import INT8, INT32, INT64, UINT64, script
from onnxscript import opset20 as op

from intcc.dyadic import Dyadic
from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand
from intcc.ops import cached
from intcc.ops.cached import CachedContext, CachedDistances, CachedProducts, CachedSight
from intcc.ops.dynamic_quantize import LARGEST_MANTISSA, STEPS
from intcc.ops.exponential import PowerOfHalf
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = [
    "LARGEST_SHIFT",
    "NO_WINDOW",
    "OPERATOR",
    "CachedShifts",
    "parameters",
    "require_constants",
]

#: Window of attention over all earlier tokens.
NO_WINDOW = 2**31 - 1
#: Largest shift for which a key out of sight is sure to get nothing.
LARGEST_SHIFT = 44

_ONE = onnx.numpy_helper.from_array(np.array(1, np.uint64))
_EXPONENTS = onnx.numpy_helper.from_array(np.arange(cached.QUERY_EXPONENT + 1, dtype=np.int64))


@script(DOMAIN, default_opset=op)
def CachedShifts(shift: INT64) -> tuple[INT64, UINT64]:
    """2**(shift - e) / 2 and shift - e by e; of constants, so it is run when a model is loaded."""
    one = op.Constant(value=_ONE)
    shifts = op.Cast(op.Sub(shift, op.Constant(value=_EXPONENTS)), to=13)
    powers = op.BitShift(one, shifts, direction="LEFT")
    return op.Cast(op.BitShift(powers, one, direction="RIGHT"), to=7), shifts


@script(DOMAIN, default_opset=op)
def CachedAttention(
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
) -> INT32:
    """Causal attention on 8-bit keys and values with a scale per token and head."""
    x, e = CachedProducts(q, keys, km, kk, grouped, mul, pre)
    halves, shifts = CachedShifts(shift)
    sight = CachedSight(q, keys, groups, window)
    z = CachedDistances(x, sight, op.Gather(halves, e), op.Gather(shifts, e))
    return CachedContext(z, values, vm, vk, merged)


def parameters(
    unit_q: float,
    unit_k: float,
    scale: float,
    heads: int,
    kv_heads: int,
    dim: int,
    value_dim: int,
    window: int = 0,
) -> tuple[Array, ...]:
    """Return the constant inputs after `vk`.

    Args:
        unit_q: real size of one step of q.
        unit_k: real size of one step of what DynamicQuantize made the keys of.
        scale: factor of q . k, 1 / sqrt(D) as a rule; > 0.
        heads: query heads, a multiple of kv_heads.
        kv_heads: key heads.
        dim: width of a query and key head.
        value_dim: width of a value head.
        window: visible keys, the query's own included; 0 for all.

    Raises:
        RangeProofError: units so coarse that scores would pass 64 bits.
    """
    real = unit_q * unit_k * scale * math.log2(math.e) * 2.0**12 / STEPS
    largest = LARGEST_MANTISSA << cached.EXPONENT
    room = cached.LARGEST_SCALED / (2.0**cached.QUERY_BITS * STEPS * dim * (largest + 1))
    shift = min(LARGEST_SHIFT, math.floor(math.log2(room / real)))
    if shift <= cached.QUERY_EXPONENT:
        raise RangeProofError(
            "CachedAttention scale",
            f"of {real:g} leaves a shift of {shift}, at least {cached.QUERY_EXPONENT + 1} needed",
            "Use finer units of q and k",
        )
    factor = Dyadic.from_real(math.ldexp(real, shift))
    return (
        *cached.shapes(heads, kv_heads, dim, value_dim),
        np.array(factor.mul, np.int64),
        np.array(factor.shift, np.int64),
        np.array(shift, np.int64),
        np.array(window or NO_WINDOW, np.int64),
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
) -> Array:
    """Exact integers."""
    x, e = cached.products(q, keys, km, kk, grouped, mul, pre)
    z = cached.distances(x, cached.in_sight(q, keys, groups, window), int(shift) - e)
    return cached.context(z, values, vm, vk, merged)


def require_constants(shift: Operand, window: Operand) -> None:
    """Check (C3)."""
    least = cached.QUERY_EXPONENT + 1
    if not (least <= int(shift.value) <= LARGEST_SHIFT and 1 <= int(window.value) < 2**31):
        raise RangeProofError("CachedAttention constants", "break C3", "This is a bug: report it")


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
) -> Interval:
    """Prove C1 to C4."""
    cached.require_shapes(q, keys, values, grouped, groups, merged)
    cached.require_products(q, keys, km, kk, mul, pre)
    require_constants(shift, window)
    return cached.value_interval(vm, vk, values)


def _vector() -> Vector:
    """Two tokens after one, two query heads on one key head."""
    q = as_array([[[[8192, 0], [0, 1]], [[-100000, 7], [0, 0]]]], np.int32)
    keys = as_array([[[[127, -127, 0], [5, 0, 127]]]], np.int8)
    values = as_array([[[[127, -127], [0, 127], [127, 1]]]], np.int8)
    km, vm = (as_array([[[m]]], np.int32) for m in ([16384, 32767, 20000], [16384, 1, 32767]))
    kk, vk = (as_array([[[k]]], np.int32) for k in ([0, 1, 2], [2, 0, 1]))
    constants = parameters(2.0**-16, 2.0**-16, 0.5, 2, 1, 2, 2)
    o = [[[[34046, -34046], [32766, -32766]], [[30142, -13508], [43688, -21672]]]]
    return Vector((q, keys, km, kk, values, vm, vk, *constants), (as_array(o, np.int32),))


vectors = (_vector(),)

OPERATOR = Operator(
    CachedAttention,
    reference,
    bounds,
    vectors,
    nested=(
        PowerOfHalf,
        CachedProducts,
        CachedSight,
        CachedShifts,
        CachedDistances,
        CachedContext,
    ),
)
