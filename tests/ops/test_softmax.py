"""Softmax: every exponent, long and flat rows, error against float."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.ops.softmax import LONGEST, OPERATOR, parameters
from tests.ops.harness import Array, check, constants, generator, i32, i64, operand, proved, refuses

LIMIT = 2**30 - 1


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def test_every_exponent() -> None:
    # mul / 2**shift = 1, so z takes every value up to saturation.
    d = np.arange(17 * 4096 + 5)
    (y,) = check(OPERATOR, i32(np.stack([0 * d, -d], 1)), i64(2), i64(1))
    exact = softmax(np.stack([0.0 * d, -d / 4096 * np.log(2)], 1))
    assert np.abs(y / 2**15 - exact).max() <= 2.0**-16 + 5e-5
    assert (y[-5:, 1] == 0).all()


@pytest.mark.parametrize("n", [1, 2, 60, 61, 1000])
@pytest.mark.parametrize("spread", [0.01, 1.0, 4.0, 30.0])
def test_error_against_float(n: int, spread: float) -> None:
    unit = 2.0**-16
    x = i32(np.rint(generator(n).normal(0, spread, (20, n)) / unit))
    (y,) = check(OPERATOR, x, *parameters(unit))
    check(OPERATOR, x[None, :, :], *parameters(unit))
    exact = softmax(x * unit)
    top = exact.max(-1, keepdims=True)
    limit = 2.0**-16 + 1.8e-4 * exact + 2.5e-5 * top * (1 + n * exact)
    assert (np.abs(y / 2**15 - exact) <= limit).all()


def test_masked_elements_change_nothing() -> None:
    x = i32([[5, -(2**28) + 5, 7, -(2**28)]])
    (y,) = check(OPERATOR, x, *parameters(0.001))
    (alone,) = check(OPERATOR, x[:, ::2], *parameters(0.001))
    assert (y == [[alone[0, 0], 0, alone[0, 1], 0]]).all()


@pytest.mark.parametrize("unit", [1e-6, 0.3])
def test_the_longest_row_sums_to_one(unit: float) -> None:
    x = i32(generator(5).integers(-30, 31, (1, LONGEST)))
    (y,) = check(OPERATOR, x, *parameters(unit))
    assert abs(int(y.sum()) - 2**15) <= LONGEST / 2


def test_extremes_and_bounds() -> None:
    x = i32([[-LIMIT, LIMIT, 0], [LIMIT, LIMIT, LIMIT], [-LIMIT, -LIMIT, -LIMIT + 1]])
    inputs = (x, i64(2**31 - 1), i64(30))
    check(OPERATOR, *inputs)
    proved(OPERATOR, [operand(-LIMIT, LIMIT, 3, 3), *constants(*inputs[1:])], inputs)


@pytest.mark.parametrize(
    ("hi", "n", "mul", "shift", "message"),
    [
        (LIMIT + 1, 2, 1, 1, "Softmax input ranges over"),
        (1, 2, -1, 1, "Softmax constants break C1"),
        (1, 2, 1, 63, "Softmax constants break C1"),
        (1, LONGEST + 1, 1, 1, "Softmax over 32768 elements passes int32 in its sum"),
    ],
)
def test_violations_are_refused(hi: int, n: int, mul: int, shift: int, message: str) -> None:
    inputs = constants(i64(mul), i64(shift))
    refuses(OPERATOR, operand(0, hi, 1, n), *inputs, match=message)
