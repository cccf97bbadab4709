"""Conv: 2-D convolution of unsigned activations with signed weights, rescaled to unsigned 8 bits.

    acc[b, i, j, n] = sum over taps and channels of (x - zero) * weight[n]        i32
    y               = clip((acc + bias) / divisor, lo, hi)             truncating division, u8

x [B, H, W, C] u8, weight [N, KH, KW, C / group] s8, y [B, OH, OW, N] u8: channels last, as
everything per channel lies along the last axis of the dialect. Outside of the image x is `zero`,
which contributes nothing. strides, pads, dilations and group as in ONNX, pads written out;
group = C is a depthwise convolution.

`bias` holds the real bias, the output's zero point and the rounding half, divisor // 2, as
that of Linear does; with an odd divisor the quotient is the exact nearest integer.

In ONNX the weights are unsigned with a zero point of 128: onnxruntime multiplies unsigned by
unsigned bytes fastest in ConvInteger, and exactly on every x86 machine, so pairs need no bound.

Constraints
    (C1) |acc|, |acc + bias| and |bias - zero * sum of weight[n]| < 2**31 for every input: kernels
         that multiply x in place of x - zero keep the latter
    (C2) divisor >= 1, odd or a power of two
    (C3) 0 <= lo <= hi <= 255
    (C4) group divides C and N; no window is without a pixel of the image
Error
    |y - (acc + b) / divisor| <= 1/2 - 1/(2 divisor)    before saturation
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnxscript import INT8, INT32, UINT8, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import INT32 as I32
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.exact import exact_product
from intcc.ops.linear import product_interval, ties_unsettled
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array
from intcc.ops.windows import Windows

__all__ = ["OPERATOR", "Accumulate", "accumulate", "accumulated", "weight_sums"]

#: Signed weights become unsigned ones, and the number that then means zero.
_LIFT = onnx.numpy_helper.from_array(np.array(128, np.int32))
_LIFTED_ZERO = onnx.numpy_helper.from_array(np.array(128, np.uint8))


@script(DOMAIN, default_opset=op)
def Accumulate(
    x: UINT8, zero: UINT8, weight: INT8,
    strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int], group: int,
) -> INT32:  # fmt: skip
    """acc, the exact sums of windows."""
    lifted = op.Add(op.Cast(weight, to=6), op.Constant(value=_LIFT))
    filters = op.Transpose(op.Cast(lifted, to=2), perm=[0, 3, 1, 2])
    image = op.Transpose(x, perm=[0, 3, 1, 2])
    acc = op.ConvInteger(
        image, filters, zero, op.Constant(value=_LIFTED_ZERO),
        strides=strides, pads=pads, dilations=dilations, group=group,
    )  # fmt: skip
    return op.Transpose(acc, perm=[0, 2, 3, 1])


@script(DOMAIN, default_opset=op)
def Conv(
    x: UINT8, zero: UINT8, weight: INT8, bias: INT32, divisor: INT32, lo: INT32, hi: INT32,
    strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int], group: int,
) -> UINT8:  # fmt: skip
    """Unsigned 8-bit convolution with per-channel rescale."""
    acc = Accumulate(x, zero, weight, strides=strides, pads=pads, dilations=dilations, group=group)
    quotient = op.Div(op.Add(acc, bias), divisor)
    return op.Cast(op.Clip(quotient, lo, hi), to=2)


def accumulate(x: Array, zero: Array, weight: Array, windows: Windows, group: int) -> Array:
    """Return acc [B, OH, OW, N] as int64, exactly."""
    n, channels = weight.shape[0] // group, weight.shape[-1]
    parts: list[Array] = []
    for g in range(group):
        filters = weight[g * n : (g + 1) * n]
        centred = x[..., g * channels : (g + 1) * channels].astype(np.int64) - int(zero)
        parts.append(
            sum(
                (exact_product(p, filters[:, i, j].T) for i, j, p in windows.taps(centred, 0)),
                np.zeros((), np.int64),
            )
        )
    return np.concatenate(parts, axis=-1)


def accumulated(
    what: str, x: Operand, zero: Operand, weight: Operand, windows: Windows, group: int
) -> Interval:
    """Return the interval of acc per output channel, for x per channel or scalar.

    Raises:
        RangeProofError: the accumulator or the geometry breaks a constraint (C1, C4).
    """
    w, channels = weight.value, x.shape[-1]
    n, each = len(w) // group, w.shape[-1]
    if each * group != channels or n * group != len(w):
        raise RangeProofError(
            what, f"has {group} groups of {channels} channels", "This is a bug: report it"
        )
    windows.require(what, *x.shape[1:3])
    centred = x.interval - int(zero.value)
    if windows.padded:
        centred = centred.hull(Interval.of(0, 0))
    lo, hi = np.broadcast_to(centred.lo, (channels,)), np.broadcast_to(centred.hi, (channels,))
    low, high = [], []
    for g in range(group):
        part = slice(g * each, (g + 1) * each)
        taps = w.shape[1] * w.shape[2]
        inputs = Interval(np.tile(lo[part], taps), np.tile(hi[part], taps))
        acc = product_interval(inputs, w[g * n : (g + 1) * n].reshape(n, -1).T)
        low.append(acc.lo)
        high.append(acc.hi)
    interval = Interval(np.concatenate(low), np.concatenate(high))
    require_fits(interval, I32, f"{what} accumulator")
    return interval


def weight_sums(weight: Array) -> Array:
    """Return the sum of the weights of each filter, int64."""
    return np.asarray(weight.reshape(len(weight), -1).sum(1, dtype=np.int64))


def reference(
    x: Array, zero: Array, weight: Array, bias: Array, divisor: Array, lo: Array, hi: Array, *,
    strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int], group: int,
) -> Array:  # fmt: skip
    """Exact integers."""
    windows = Windows.of(weight.shape[1:3], strides, pads, dilations)
    t = accumulate(x, zero, weight, windows, group) + bias
    return np.asarray(np.clip(np.sign(t) * (np.abs(t) // divisor), lo, hi), np.uint8)


def bounds(
    x: Operand, zero: Operand, weight: Operand, bias: Operand, divisor: Operand, lo: Operand,
    hi: Operand, *,
    strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int], group: int,
) -> Interval:  # fmt: skip
    """Prove C1 to C4."""
    windows = Windows.of(weight.shape[1:3], strides, pads, dilations)
    t = accumulated("Conv", x, zero, weight, windows, group)
    t += Interval.of(bias.value, bias.value)
    require_fits(t, I32, "Conv sum")
    stored = bias.value - weight_sums(weight.value) * int(zero.value)
    require_fits(Interval.of(stored, stored), I32, "Conv bias of stored bytes")
    d = divisor.value
    low, high = int(lo.value), int(hi.value)
    if (d < 1).any() or ties_unsettled(d).any() or not 0 <= low <= high <= 255:
        raise RangeProofError("Conv constants", "break C2 or C3", "This is a bug: report it")
    return Interval(t.lo // d.astype(object), t.hi // d.astype(object)).clip(low, high)


vectors = (
    # Four windows of 2 x 2 around one pixel of two channels; then the channels each for itself.
    Vector(
        inputs=(
            as_array([[[[255, 3]]]], np.uint8),
            as_array(3, np.uint8),
            as_array([[[[1, 99], [2, 99]], [[3, 99], [-127, 99]]]], np.int8),
            as_array([253], np.int32),
            as_array([3], np.int32),
            as_array(5, np.int32),
            as_array(255, np.int32),
        ),
        outputs=(as_array([[[[5], [255]], [[252], [168]]]], np.uint8),),
        attributes={"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1},
    ),
    Vector(
        inputs=(
            as_array([[[[1, 9], [2, 8], [3, 7]]]], np.uint8),
            as_array(0, np.uint8),
            as_array([[[[10], [1]]], [[[1], [10]]]], np.int8),
            as_array([0, 3], np.int32),
            as_array([1, 7], np.int32),
            as_array(0, np.int32),
            as_array(255, np.int32),
        ),
        outputs=(as_array([[[[2, 11], [20, 1]]]], np.uint8),),
        attributes={"strides": (1, 2), "pads": (0, 1, 0, 1), "dilations": (1, 2), "group": 2},
    ),
)

OPERATOR = Operator(Conv, reference, bounds, vectors, nested=(Accumulate,))
