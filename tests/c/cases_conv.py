"""Convolutions and pooling in every form that C tells apart, by the stem of their template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from tests.c.bench import Bench

Array = npt.NDArray[Any]
#: name: (height, width, channels), (filters, rows, columns), strides, pads, dilations, group.
_WINDOWS: Mapping[str, tuple[Any, ...]] = {
    "one": ((1, 1, 1), (1, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    "inside": ((6, 8, 16), (33, 2, 3), (2, 1), (0, 0, 0, 0), (1, 1), 1),
    "uneven": ((11, 8, 5), (4, 3, 2), (2, 3), (1, 0, 2, 1), (1, 1), 1),
    "dilated": ((9, 13, 4), (6, 2, 3), (1, 2), (0, 3, 1, 2), (3, 2), 1),
    "strided": ((8, 8, 20), (3, 1, 1), (2, 2), (0, 0, 0, 0), (1, 1), 1),
    "same": ((7, 9, 3), (5, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
}
_GROUPS: Mapping[str, tuple[Any, ...]] = {
    "two": ((9, 13, 4), (6, 2, 3), (1, 2), (0, 3, 1, 2), (3, 2), 2),
    "more": ((5, 5, 3), (6, 5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 3),
    "inside": ((5, 6, 8), (8, 2, 2), (1, 1), (0, 0, 0, 0), (1, 1), 4),
}
_DEPTHWISE: Mapping[str, tuple[Any, ...]] = {
    "few": ((6, 5, 7), (7, 3, 3), (2, 2), (0, 1, 1, 0), (1, 1), 7),
    "many": ((5, 7, 70), (70, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 70),
    # gcc 12.2 at -O3 for AVX-512 made wrong code of taps that were skipped by a condition.
    "sixteen": ((17, 14, 16), (16, 3, 3), (2, 2), (1, 0, 1, 1), (1, 1), 16),
    "row": ((1, 30, 32), (32, 1, 7), (1, 3), (0, 6, 0, 0), (1, 2), 32),
}


def image_and_weight(
    b: Bench, rng: np.random.Generator, windows: tuple[Any, ...], image: ir.Value | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """Return an image, an input by default, its zero and weights, and attributes of the windows."""
    (height, width, channels), (filters, *kernel), strides, pads, dilations, group = windows
    x = image or b.input(np.uint8, ["batch", height, width, channels], 0, 255)
    weight = rng.integers(-127, 128, (filters, *kernel, channels // group)).astype(np.int8)
    zero = np.asarray(rng.integers(0, 256), np.uint8)
    attributes: dict[str, Any] = {
        "strides": strides,
        "pads": pads,
        "dilations": dilations,
        "group": group,
    }
    return [x, zero, weight], attributes


def _narrow(stem: str, table: Mapping[str, tuple[Any, ...]], seed: int) -> Callable[[Bench], None]:
    def build(b: Bench) -> None:
        rng = np.random.default_rng(seed)
        for name, windows in table.items():
            b.case(f"{stem}_{name}")
            operands, attributes = image_and_weight(b, rng, windows)
            n = windows[1][0]
            divisor = 2 * rng.integers(1, 300, n) + 1
            bias = rng.integers(-(2**17), 2**17, n)
            numbers = [np.asarray(v, np.int32) for v in (bias, divisor, 3, 250)]
            b.output(*b.op("Conv", [*operands, *numbers], **attributes))

    return build


def _wide(stem: str, table: Mapping[str, tuple[Any, ...]], seed: int) -> Callable[[Bench], None]:
    def build(b: Bench) -> None:
        rng = np.random.default_rng(seed)
        for name, windows in table.items():
            b.case(f"{stem}_{name}")
            operands, attributes = image_and_weight(b, rng, windows)
            n = windows[1][0]
            mul, bias = rng.integers(1, 300, n), rng.integers(-(2**20), 2**20, n)
            numbers = [np.asarray(v, np.int32) for v in (mul, bias)]
            b.output(*b.op("ConvWide", [*operands, *numbers], **attributes))

    return build


def _conv_wide(b: Bench) -> None:
    """Sums that fit without a center alone, beside the usual ones."""
    _wide("conv_wide", _WINDOWS, 52)(b)
    b.case("conv_wide_plain")
    x = b.input(np.uint8, ["batch", 3, 3, 4], 0, 255)
    weight = np.full((2, 3, 3, 4), 1, np.int8)
    attributes: dict[str, Any] = {
        "strides": (1, 1),
        "pads": (1, 1, 1, 1),
        "dilations": (1, 1),
        "group": 1,
    }
    most = (2**31 - 1) // (255 * 36)
    numbers = [np.asarray(v, np.int32) for v in ([most], [2**31 - 1 - most * 255 * 36])]
    b.output(*b.op("ConvWide", [x, np.asarray(0, np.uint8), weight, *numbers], **attributes))


def _max_pool(b: Bench) -> None:
    for name, (shape, kernel, strides, pads, dilations) in {
        "one": ((1, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
        "usual": ((9, 7, 40), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
        "uneven": ((8, 11, 5), (2, 3), (1, 2), (0, 2, 1, 0), (1, 1)),
        "dilated": ((9, 9, 2), (3, 2), (2, 1), (2, 0, 0, 1), (2, 3)),
        "even": ((4, 6, 3), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
    }.items():
        b.case(f"max_pool_{name}")
        x = b.input(np.uint8, ["batch", *shape], 0, 255)
        attributes: dict[str, Any] = {"strides": strides, "pads": pads, "dilations": dilations}
        b.output(*b.op("MaxPool", [x], kernel_shape=kernel, **attributes))


def _clip(b: Bench) -> None:
    b.case("clip")
    x = b.input(np.int32, ["batch", "sequence", 9], -(2**31), 2**31 - 1)
    numbers = [np.asarray(v, np.int32) for v in (-700, 2**30)]
    y = b.op("Clip", [x, *numbers])
    b.output(*y)
    b.output(*b.op("Clip", [b.op("Clip", [x, numbers[0], numbers[0]])[0], *numbers]))


CONV_CASES: Mapping[str, Callable[[Bench], None]] = {
    "clip": _clip,
    "conv": _narrow("conv", _WINDOWS, 51),
    "conv_depthwise": _narrow("conv_depthwise", _DEPTHWISE, 53),
    "conv_depthwise_wide": _wide("conv_depthwise_wide", _DEPTHWISE, 54),
    "conv_groups": _narrow("conv_groups", _GROUPS, 55),
    "conv_groups_wide": _wide("conv_groups_wide", _GROUPS, 56),
    "conv_wide": _conv_wide,
    "max_pool": _max_pool,
}
