"""MaxPool: the largest element of each window, whatever its geometry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intcc.ops.max_pool import OPERATOR
from tests.ops.harness import check, generator, operand, proved, refuses

GEOMETRIES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
    ((2, 9, 7, 3), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
    ((1, 8, 11, 5), (2, 3), (1, 2), (0, 2, 1, 0), (1, 1)),
    ((1, 9, 9, 2), (3, 2), (2, 1), (2, 0, 0, 1), (2, 3)),
    ((1, 1, 12, 4), (1, 4), (1, 4), (0, 0, 0, 0), (1, 1)),
)
EACH = pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
NAMES = ("kernel_shape", "strides", "pads", "dilations")


@EACH
def test_onnxruntime_equals_reference(geometry: tuple[Any, ...]) -> None:
    shape, *rest = geometry
    x = generator(1).integers(0, 256, shape).astype(np.uint8)
    options = dict(zip(NAMES, rest, strict=True))
    check(OPERATOR, x, **options)
    check(OPERATOR, np.zeros_like(x), **options)
    proved(OPERATOR, [operand(0, 255, *shape)], [x], **options)


def test_pads_as_wide_as_the_kernel_are_refused() -> None:
    """With dilations such windows hold pixels, but onnxruntime does not take them."""
    refuses(
        OPERATOR, operand(0, 255, 1, 9, 9, 1), match="MaxPool pads break C2",
        kernel_shape=(2, 2), strides=(1, 1), pads=(2, 0, 0, 0), dilations=(3, 3),
    )  # fmt: skip


def test_a_window_around_a_pixel_is_refused() -> None:
    """Its two taps lie on both sides of an image of one pixel."""
    refuses(
        OPERATOR, operand(0, 255, 1, 1, 4, 1), match="some of them without a pixel",
        kernel_shape=(2, 2), strides=(1, 1), pads=(1, 0, 1, 0), dilations=(2, 1),
    )  # fmt: skip


def test_a_window_without_a_pixel_is_refused() -> None:
    refuses(
        OPERATOR, operand(0, 255, 1, 4, 4, 1), match="some of them without a pixel",
        kernel_shape=(2, 2), strides=(1, 1), pads=(2, 0, 0, 0), dilations=(1, 1),
    )  # fmt: skip
