"""Linear: unsigned activations times signed weights, rescaled per channel to unsigned 8 bits.

    acc = x @ weight                                   x [..., K] u8, weight [K, N] s8, acc i32
    y   = clip((acc + bias) / divisor, lo, hi)         truncating division, y [..., N] u8

`bias` holds the real bias, the input's zero point, the output's zero point and the rounding
half, divisor // 2. With an odd divisor the quotient is the exact nearest integer (no ties
exist), which equals rescale(acc + b, mul, shift) for the dyadic mul / 2**shift nearest to
1 / divisor: one meaning, a division in ONNX, a multiplication in C and on NPUs. With a power of
two it is a shift that rounds ties up: lo >= 0, so that truncation is as good as flooring.

Constraints
    (C1) xmax * |w[2i, n] + w[2i+1, n]| <= 32767 where the two have one sign, and
         xmax * |w| <= 32767    x86 kernels without VNNI add such pairs in int16 (onnxruntime
         issue 7524); the bound makes them exact. Products of unlike signs cannot add up
    (C2) |acc + bias| < 2**31 for every input
    (C3) divisor >= 1, odd or a power of two
    (C4) 0 <= lo <= hi <= 255
Error
    |y - (acc + b) / divisor| <= 1/2                    before saturation
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnxscript import INT8, INT32, UINT8, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import INT32 as I32
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.exact import exact_product
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["OPERATOR", "pair_reach", "product_interval", "require_pair_bound", "ties_unsettled"]


@script(DOMAIN, default_opset=op)
def Linear(x: UINT8, weight: INT8, bias: INT32, divisor: INT32, lo: INT32, hi: INT32) -> UINT8:
    """Unsigned 8-bit linear layer with per-channel rescale."""
    acc = op.MatMulInteger(x, weight)
    quotient = op.Div(op.Add(acc, bias), divisor)
    return op.Cast(op.Clip(quotient, lo, hi), to=2)


#: Output channels that are summed at a time.
_COLUMNS = 1024


def product_interval(x: Interval, weight: Array) -> Interval:
    """Interval per output channel of x @ weight; x per input channel or scalar, 8 bits both.

    int64 is exact here: K products of 8-bit numbers stay below 2**63 for every K in memory.
    """
    assert x.magnitude <= 255, "operands have 8 bits"
    k, n = weight.shape
    lo = np.broadcast_to(x.lo, (k,)).astype(np.int64)
    hi = np.broadcast_to(x.hi, (k,)).astype(np.int64)
    least, most = np.empty(n, np.int64), np.empty(n, np.int64)
    for start in range(0, n, _COLUMNS):  # int64 takes eight times the memory of the weights
        part = slice(start, start + _COLUMNS)
        w = weight[:, part].astype(np.int64)
        positive, negative = np.maximum(w, 0), np.minimum(w, 0)
        least[part] = lo @ positive + hi @ negative
        most[part] = hi @ positive + lo @ negative
    return Interval.of(least, most)


def pair_reach(largest: Array | int, weight: Array) -> int:
    """Return the largest magnitude of x[2i] * w[2i] + x[2i+1] * w[2i+1], for 0 <= x <= largest.

    As x is not negative, products of one sign add up, and others only take from them.

    Args:
        largest: of x, per input channel [K] or for all.
        weight: [K, N], 8 bits.
    """
    size = weight.astype(np.int32) * np.reshape(largest, (-1, 1)).astype(np.int32)
    size = np.pad(size, ((0, len(size) % 2), (0, 0)))
    up, down = np.maximum(size, 0), np.minimum(size, 0)
    highest = (up[::2] + up[1::2]).max(initial=0)
    return int(max(highest, -(down[::2] + down[1::2]).min(initial=0)))


def require_pair_bound(x: Interval, weight: Array, what: str) -> None:
    """Check (C1): neighbouring products never pass int16."""
    assert x.min >= 0, "activations are unsigned"
    worst = pair_reach(x.max, weight)
    if worst > 32767:
        raise RangeProofError(
            what,
            f"has a pair of neighbouring products of up to {worst}, above 32767",
            "Quantize the weights pair-safe",
        )


def ties_unsettled(divisor: Array) -> npt.NDArray[np.bool_]:
    """Tell which divisors have ties and are no shifts: neither odd nor powers of two."""
    return np.asarray((divisor % 2 == 0) & (divisor & (divisor - 1) != 0))


def reference(x: Array, weight: Array, bias: Array, divisor: Array, lo: Array, hi: Array) -> Array:
    """Exact integers."""
    t = exact_product(x, weight) + bias
    quotient = np.sign(t) * (np.abs(t) // divisor)
    return np.asarray(np.clip(quotient, lo, hi), np.uint8)


def bounds(
    x: Operand, weight: Operand, bias: Operand, divisor: Operand, lo: Operand, hi: Operand
) -> Interval:
    """Prove C1 to C4."""
    require_pair_bound(x.interval, weight.value, "Linear weight")
    t = product_interval(x.interval, weight.value) + Interval.of(bias.value, bias.value)
    require_fits(t, I32, "Linear accumulator")
    d = divisor.value
    low, high = int(lo.value), int(hi.value)
    if (d < 1).any() or ties_unsettled(d).any() or not 0 <= low <= high <= 255:
        raise RangeProofError("Linear constants", "break C3 or C4", "This is a bug: report it")
    quotient = Interval(t.lo // d.astype(object), t.hi // d.astype(object))
    return quotient.clip(low, high)


vectors = (
    Vector(
        inputs=(
            as_array([[0, 255], [255, 255], [1, 2]], np.uint8),
            as_array([[64, -64, 3], [64, -64, 5]], np.int8),
            as_array([50, 50, 3], np.int32),
            as_array([101, 101, 7], np.int32),
            as_array(0, np.int32),
            as_array(255, np.int32),
        ),
        outputs=(as_array([[162, 0, 182], [255, 0, 255], [2, 0, 2]], np.uint8),),
    ),
)

OPERATOR = Operator(Linear, reference, bounds, vectors)
