"""ConvWide: 2-D convolution of unsigned activations with signed weights, onto the int32 grid.

    acc[b, i, j, n] = sum over taps and channels of (x - zero) * weight[n]        i32
    y               = acc * mul + bias

x [B, H, W, C] u8, weight [N, KH, KW, C / group] s8, y [B, OH, OW, N] i32; padding and attributes
as those of Conv. The weight step is an integer multiple `mul` of the output's grid, so nothing is
rounded: the form of a convolution that is added to a residual stream.

Constraints
    (C1) |acc|, |acc * mul| and |y| < 2**31 for every input; so for sums of x in place of x - zero
         and for the bias that undoes this
    (C2) group divides C and N; no window is without a pixel of the image
Error
    none: the result is exact
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnxscript import INT8, INT32, UINT8, script
from onnxscript import opset20 as op

from intcc.interval import INT32 as I32
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.conv import Accumulate, accumulate, accumulated, weight_sums
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array
from intcc.ops.windows import Windows

__all__ = ["OPERATOR"]


@script(DOMAIN, default_opset=op)
def ConvWide(
    x: UINT8, zero: UINT8, weight: INT8, mul: INT32, bias: INT32,
    strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int], group: int,
) -> INT32:  # fmt: skip
    """Unsigned 8-bit convolution with int32 result."""
    acc = Accumulate(x, zero, weight, strides=strides, pads=pads, dilations=dilations, group=group)
    return op.Add(op.Mul(acc, mul), bias)


def reference(
    x: Array, zero: Array, weight: Array, mul: Array, bias: Array, *,
    strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int], group: int,
) -> Array:  # fmt: skip
    """Exact integers."""
    windows = Windows.of(weight.shape[1:3], strides, pads, dilations)
    return (accumulate(x, zero, weight, windows, group) * mul + bias).astype(np.int32)


def bounds(
    x: Operand, zero: Operand, weight: Operand, mul: Operand, bias: Operand, *,
    strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int], group: int,
) -> Interval:  # fmt: skip
    """Prove C1 and C2."""
    windows = Windows.of(weight.shape[1:3], strides, pads, dilations)
    acc = accumulated("ConvWide", x, zero, weight, windows, group)
    scaled = acc * Interval.of(mul.value, mul.value)
    require_fits(scaled, I32, "ConvWide product")
    y = scaled + Interval.of(bias.value, bias.value)
    require_fits(y, I32, "ConvWide result")
    sums = weight_sums(weight.value) * int(zero.value)
    stored = (acc + Interval.of(sums, sums)) * Interval.of(mul.value, mul.value)
    require_fits(stored, I32, "ConvWide product of stored bytes")
    rest = bias.value - sums * mul.value
    require_fits(Interval.of(rest, rest), I32, "ConvWide bias of stored bytes")
    return y


vectors = (
    Vector(
        inputs=(
            as_array([[[[255, 3], [0, 0]]]], np.uint8),
            as_array(3, np.uint8),
            as_array([[[[1, 2], [3, 4]]], [[[-127, 0], [0, 127]]]], np.int8),
            as_array([1000, 1], np.int32),
            as_array([-5, 7], np.int32),
        ),
        outputs=(as_array([[[[755995, 7], [230995, -32378], [-9005, 388]]]], np.int32),),
        attributes={"strides": (1, 1), "pads": (0, 1, 0, 1), "dilations": (1, 1), "group": 1},
    ),
)

OPERATOR = Operator(ConvWide, reference, bounds, vectors, nested=(Accumulate,))
