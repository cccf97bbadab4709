"""Cases of operators on images, and of those that C tells by others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.c.bench import Bench
from tests.ops.harness import i32

__all__ = ["IMAGE_CASES"]

#: Image, channels in and out, kernel, strides, pads, dilations, group.
GEOMETRIES: tuple[tuple[Any, ...], ...] = (
    ((6, 7), 3, 4, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((8, 8), 2, 5, (2, 3), (2, 2), (0, 1, 1, 0), (1, 1), 1),
    ((9, 7), 4, 4, (3, 3), (2, 1), (2, 0, 1, 2), (1, 2), 1),
    ((5, 5), 6, 6, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 6),
    ((7, 6), 3, 6, (2, 2), (3, 2), (1, 1, 0, 0), (1, 1), 3),
    ((6, 6), 4, 6, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 2),
    ((1, 1), 1, 1, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
)


def _convolution(kind: str) -> Callable[[Bench], None]:
    def build(b: Bench) -> None:
        rng = np.random.default_rng(11)
        for index, (size, c, n, kernel, *geometry) in enumerate(GEOMETRIES):
            b.case(f"{kind.lower()}_{index}")
            x = b.input(np.uint8, ["batch", *size, c], 0, 255)
            zero = np.asarray(rng.integers(0, 256), np.uint8)
            weight = rng.integers(-127, 128, (n, *kernel, c // geometry[3])).astype(np.int8)
            if kind == "Conv":
                divisor = 2 * rng.integers(1, 900, n) + 1
                rest = [i32(rng.integers(-9999, 9999, n)), i32(divisor), i32(3), i32(251)]
            else:
                rest = [i32(rng.integers(1, 99, n)), i32(rng.integers(-9999, 9999, n))]
            names = ("strides", "pads", "dilations", "group")
            attributes = dict(zip(names, geometry, strict=True))
            b.output(*b.op(kind, [x, zero, weight, *rest], **attributes))

    return build


def max_pool(b: Bench) -> None:
    for index, (size, c, _, kernel, strides, pads, dilations, _) in enumerate(GEOMETRIES):
        b.case(f"maxpool_{index}")
        x = b.input(np.uint8, ["batch", *size, c], 0, 255)
        pads = tuple(min(p, kernel[i % 2] - 1) for i, p in enumerate(pads))
        geometry = {"strides": strides, "pads": pads, "dilations": dilations}
        b.output(*b.op("MaxPool", [x], kernel_shape=kernel, **geometry))


def clip(b: Bench) -> None:
    b.case("clip")
    x = b.input(np.int32, ["batch", "sequence", 5], -(2**31), 2**31 - 1)
    b.output(*b.op("Clip", [x, i32(-7), i32(2**30)]))
    b.output(*b.op("Clip", [x, i32(-(2**31)), i32(2**31 - 1)]))


def key_mask(b: Bench) -> None:
    b.case("key_mask")
    b.output(*b.op("KeyMask", [b.input(np.int64, ["batch", "sequence"], -3, 3)]))


#: Cases by the operator's file.
IMAGE_CASES: Mapping[str, Callable[[Bench], None]] = {
    "clip": clip,
    "conv": _convolution("Conv"),
    "conv_wide": _convolution("ConvWide"),
    "key_mask": key_mask,
    "max_pool": max_pool,
}
