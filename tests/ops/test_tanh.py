"""Tanh: every exponent of both signs, error against float."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.ops.tanh import OPERATOR, parameters
from tests.ops.harness import (
    check,
    constants,
    generator,
    i32,
    i64,
    integers,
    operand,
    proved,
    refuses,
)

LIMIT = 2**31 - 1


def test_every_exponent_of_both_signs() -> None:
    x = i32(np.arange(-17 * 4096 - 5, 17 * 4096 + 6))
    (y,) = check(OPERATOR, x, i64(2), i64(1))
    exact = np.tanh(x / 8192 * np.log(2))
    assert np.abs(y / 2**15 - exact).max() <= 8.0e-5
    assert (y == -y[::-1]).all()
    assert (np.diff(y) >= -2).all()


@pytest.mark.parametrize("unit", [2.0**-20, 0.001, 0.3, 7.0])
def test_units(unit: float) -> None:
    x = i32(np.rint(generator(1).normal(0, 4, (3, 5, 60)) / unit))
    (y,) = check(OPERATOR, x, *parameters(unit))
    assert np.abs(y / 2**15 - np.tanh(x * unit)).max() <= 9.6e-5


def test_extremes_and_bounds() -> None:
    x = i32(integers(generator(2), -LIMIT, LIMIT, (4, 60)))
    inputs = (x, i64(2**31 - 1), i64(62))
    check(OPERATOR, *inputs)
    proved(OPERATOR, [operand(-LIMIT, LIMIT, 4, 60), *constants(*inputs[1:])], inputs)


@pytest.mark.parametrize(
    ("lo", "mul", "shift", "message"),
    [
        (-(2**31), 1, 1, "Tanh input ranges over"),
        (0, 2**31, 1, "Tanh constants break C1"),
        (0, 1, 0, "Tanh constants break C1"),
    ],
)
def test_violations_are_refused(lo: int, mul: int, shift: int, message: str) -> None:
    refuses(OPERATOR, operand(lo, 1, 2), *constants(i64(mul), i64(shift)), match=message)
