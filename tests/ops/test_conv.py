"""Conv: exact products of windows, padding with the zero point, groups, saturation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intcc.interval import Operand
from intcc.ops.conv import OPERATOR
from intcc.ops.conv_wide import OPERATOR as WIDE
from intcc.ops.operator import Array
from tests.ops.harness import check, constants, generator, i32, operand, proved, refuses, u8

#: batch, height, width, channels, filters, kernel, strides, pads, dilations, group
GEOMETRIES: tuple[tuple[Any, ...], ...] = (
    (1, 1, 1, 1, 1, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    (2, 7, 9, 3, 5, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    (1, 11, 8, 5, 4, (3, 2), (2, 3), (1, 0, 2, 1), (1, 1), 1),
    (1, 9, 13, 4, 6, (2, 3), (1, 2), (0, 3, 1, 2), (3, 2), 2),
    (2, 6, 5, 7, 7, (3, 3), (2, 2), (0, 1, 1, 0), (1, 1), 7),
    (1, 5, 5, 3, 6, (5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 3),
    (1, 1, 30, 6, 9, (1, 7), (1, 3), (0, 6, 0, 0), (1, 1), 3),
    (1, 8, 8, 16, 3, (1, 1), (2, 2), (0, 0, 0, 0), (1, 1), 1),
)
EACH = pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)


def attributes(geometry: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(("strides", "pads", "dilations", "group"), geometry[6:], strict=True))


def products(rng: np.random.Generator, geometry: tuple[Any, ...]) -> tuple[Array, Array, Array]:
    """Return x, zero and weights over all of their ranges."""
    batch, height, width, channels, filters, kernel, *_, group = geometry
    x = rng.integers(0, 256, (batch, height, width, channels)).astype(np.uint8)
    weight = rng.integers(-127, 128, (filters, *kernel, channels // group)).astype(np.int8)
    return x, u8(rng.integers(0, 256)), weight


def case(rng: np.random.Generator, geometry: tuple[Any, ...]) -> tuple[Array, ...]:
    x, zero, weight = products(rng, geometry)
    n = len(weight)
    divisor = 2 * rng.integers(0, 900, n).astype(np.int32) + 1
    bias = rng.integers(-(2**18), 2**18, n).astype(np.int32)
    return x, zero, weight, bias, divisor, i32(rng.integers(0, 5)), i32(rng.integers(200, 256))


@EACH
def test_onnxruntime_equals_reference(geometry: tuple[Any, ...]) -> None:
    check(OPERATOR, *case(generator(1), geometry), **attributes(geometry))


def direct(x: Array, zero: int, weight: Array, options: dict[str, Any]) -> Array:
    """The definition, one product after the other."""
    (sh, sw), (dh, dw), pads = options["strides"], options["dilations"], options["pads"]
    batch, height, width, _ = x.shape
    filters, kh, kw, each = weight.shape
    oh = (height + pads[0] + pads[2] - dh * (kh - 1) - 1) // sh + 1
    ow = (width + pads[1] + pads[3] - dw * (kw - 1) - 1) // sw + 1
    acc = np.zeros((batch, oh, ow, filters), np.int64)
    for b, i, j, n in np.ndindex(acc.shape):
        first = n // (filters // options["group"]) * each
        for r, s, c in np.ndindex(kh, kw, each):
            row, column = i * sh + r * dh - pads[0], j * sw + s * dw - pads[1]
            if 0 <= row < height and 0 <= column < width:
                value = int(x[b, row, column, first + c]) - zero
                acc[b, i, j, n] += value * int(weight[n, r, s, c])
    return acc


@pytest.mark.parametrize("geometry", GEOMETRIES[1:6], ids=str)
def test_reference_equals_the_definition(geometry: tuple[Any, ...]) -> None:
    options = attributes(geometry)
    x, zero, weight, bias, divisor, lo, hi = case(generator(2), geometry)
    t = direct(x, int(zero), weight, options) + bias
    want = np.clip(np.sign(t) * (np.abs(t) // divisor), lo, hi)
    (y,) = OPERATOR.evaluate(x, zero, weight, bias, divisor, lo, hi, **options)
    np.testing.assert_array_equal(y, want)


@EACH
def test_results_lie_in_the_proved_interval(geometry: tuple[Any, ...]) -> None:
    inputs = case(generator(3), geometry)
    operands = [operand(0, 255, *geometry[:4]), *constants(*inputs[1:])]
    proved(OPERATOR, operands, inputs, **attributes(geometry))


def test_interval_is_reached() -> None:
    """The image that goes with the signs of the weights reaches both ends."""
    weight = generator(4).integers(-127, 128, (1, 3, 3, 2)).astype(np.int8)
    options: dict[str, Any] = {
        "strides": (1, 1),
        "pads": (0, 0, 0, 0),
        "dilations": (1, 1),
        "group": 1,
    }
    rest = (u8(7), weight, i32([2**20]), i32([8001]), i32(0), i32(255))
    (interval,) = OPERATOR.prove(operand(3, 200, 1, 3, 3, 2), *constants(*rest), **options)
    for end, image in (
        (interval.max, np.where(weight > 0, 200, 3)),
        (interval.min, np.where(weight > 0, 3, 200)),
    ):
        (y,) = OPERATOR.evaluate(image.astype(np.uint8), *rest, **options)
        assert y.reshape(-1).tolist() == [end]


def test_padding_contributes_nothing() -> None:
    """An image of the zero point gives the bias alone, at the edge as in the middle."""
    weight = generator(5).integers(-127, 128, (4, 3, 3, 2)).astype(np.int8)
    x = np.full((1, 5, 4, 2), 77, np.uint8)
    options: dict[str, Any] = {
        "strides": (1, 1),
        "pads": (2, 1, 0, 2),
        "dilations": (1, 1),
        "group": 1,
    }
    (y,) = check(OPERATOR, x, u8(77), weight, i32([9] * 4), i32([3]), i32(0), i32(255), **options)
    assert (y == 3).all()


def test_kernels_that_read_stored_bytes_have_room_for_their_bias() -> None:
    """x - zero is small, but what makes up for x in its place is not."""
    x = Operand(operand(200, 255).interval, (1, 3, 3, 1))
    weight, bias = np.full((1, 3, 3, 1), -127, np.int8), i32([2**31 - 100_000])
    options: dict[str, Any] = {"strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1), "group": 1}
    inputs = constants(u8(255), weight, bias, i32([3]), i32(0), i32(255))
    refuses(OPERATOR, x, *inputs, match="Conv bias of stored bytes ranges over", **options)
    inputs = constants(u8(255), weight, i32([1]), bias)
    refuses(WIDE, x, *inputs, match="ConvWide bias of stored bytes ranges over", **options)


@pytest.mark.parametrize(
    ("bias", "divisor", "lo", "hi", "pads", "group", "message"),
    [
        (2**31 - 1, 3, 0, 255, (0, 0, 0, 0), 1, "Conv sum ranges over"),
        (0, 6, 0, 255, (0, 0, 0, 0), 1, "Conv constants break C2 or C3"),
        (0, 3, 9, 8, (0, 0, 0, 0), 1, "Conv constants break C2 or C3"),
        (0, 3, 0, 256, (0, 0, 0, 0), 1, "Conv constants break C2 or C3"),
        (0, 3, 0, 255, (0, 3, 0, 0), 1, "Conv has windows .* some of them without a pixel"),
        (0, 3, 0, 255, (0, 0, 0, 0), 2, "Conv has 2 groups of 1 channels"),
    ],
)
def test_violations_are_refused(
    bias: int, divisor: int, lo: int, hi: int, pads: tuple[int, ...], group: int, message: str
) -> None:
    x = Operand(operand(0, 255).interval, (1, 4, 4, 1))
    weight = np.ones((1, 3, 3, 1), np.int8)
    inputs = constants(u8(0), weight, i32([bias]), i32([divisor]), i32(lo), i32(hi))
    options: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1)}
    refuses(OPERATOR, x, *inputs, match=message, pads=pads, group=group, **options)
