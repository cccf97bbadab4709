"""Widen: all 256 inputs of every zero point."""

from __future__ import annotations

import numpy as np

from intcc.ops.widen import OPERATOR
from tests.ops.harness import check, constants, generator, i32, integers, operand, proved, refuses


def test_every_input_and_zero_point() -> None:
    x = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 256, 1)
    zero = np.arange(256, dtype=np.int32)
    mul = i32(integers(generator(1), -(2**23), 2**23, (256,)))
    (y,) = check(OPERATOR, x, zero, mul)
    assert (y == (x.astype(np.int64) - zero) * mul).all()
    proved(OPERATOR, [operand(0, 255, 256, 256), *constants(zero, mul)], (x, zero, mul))


def test_one_constant_for_all_channels() -> None:
    x = generator(2).integers(0, 256, (2, 3, 7)).astype(np.uint8)
    check(OPERATOR, x, i32([128]), i32([77]))


def test_overflow_is_refused() -> None:
    refuses(
        OPERATOR,
        operand(0, 255, 1),
        *constants(i32([0]), i32([2**24])),
        match="Widen ranges over",
    )
