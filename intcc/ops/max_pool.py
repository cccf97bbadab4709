"""MaxPool: the largest element of each window of an image.

    y[b, i, j, c] = max over taps inside the image of x[b, ., ., c]

x [B, H, W, C] u8, y [B, OH, OW, C] u8. Rounding to a grid keeps the order of numbers, so the
maximum of the stored integers is the stored maximum. Attributes as in ONNX, pads written out.

Constraints
    (C1) no window is without a pixel of the image
    (C2) pads are smaller than the kernel                    onnxruntime takes no others
Error
    none
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnxscript import UINT8, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array
from intcc.ops.windows import Windows

__all__ = ["OPERATOR"]


@script(DOMAIN, default_opset=op)
def MaxPool(
    x: UINT8, kernel_shape: Sequence[int], strides: Sequence[int], pads: Sequence[int],
    dilations: Sequence[int],
) -> UINT8:  # fmt: skip
    """Maximum of windows."""
    image = op.Transpose(x, perm=[0, 3, 1, 2])
    largest = op.MaxPool(
        image, kernel_shape=kernel_shape, strides=strides, pads=pads, dilations=dilations
    )
    return op.Transpose(largest, perm=[0, 2, 3, 1])


def reference(
    x: Array, *, kernel_shape: Sequence[int], strides: Sequence[int], pads: Sequence[int],
    dilations: Sequence[int],
) -> Array:  # fmt: skip
    """Exact integers; padding is below every element, so it never is the largest."""
    windows = Windows.of(kernel_shape, strides, pads, dilations)
    taps = [tap for _, _, tap in windows.taps(x.astype(np.int64), -1)]
    return np.asarray(np.max(taps, axis=0), np.uint8)


def bounds(
    x: Operand, *, kernel_shape: Sequence[int], strides: Sequence[int], pads: Sequence[int],
    dilations: Sequence[int],
) -> Interval:  # fmt: skip
    """Prove C1 and C2; a maximum stays inside the range of its elements."""
    windows = Windows.of(kernel_shape, strides, pads, dilations)
    windows.require("MaxPool", *x.shape[1:3])
    if any(p >= windows.kernel[i % 2] for i, p in enumerate(pads)):
        raise RangeProofError(
            "MaxPool pads", "break C2", "Pad by less than the kernel, or dilate it less"
        )
    return x.interval


vectors = (
    Vector(
        inputs=(as_array([[[[0], [255], [3]], [[4], [5], [6]]]], np.uint8),),
        outputs=(as_array([[[[255], [3]], [[5], [6]]]], np.uint8),),
        attributes={
            "kernel_shape": (1, 2), "strides": (1, 2), "pads": (0, 0, 0, 1), "dilations": (1, 1),
        },
    ),
)  # fmt: skip

OPERATOR = Operator(MaxPool, reference, bounds, vectors)
