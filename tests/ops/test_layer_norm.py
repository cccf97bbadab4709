"""LayerNorm: equal bits in onnxruntime, error against float, eps, padding of the proof."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.ops.layer_norm import OPERATOR, parameters
from tests.ops.harness import (
    ROWS,
    Array,
    Rows,
    check,
    constants,
    generator,
    i32,
    integers,
    operand,
    proved,
    refuses,
)

LIMIT = 2**29 - 2**15


@pytest.mark.parametrize("n", [1, 2, 3, 60, 61, 384, 1024])
@pytest.mark.parametrize("eps", [0.0, 1e-12, 1e-5, 1.0])
def test_onnxruntime_equals_reference_inside_the_bounds(n: int, eps: float) -> None:
    rng = generator(n)
    x = np.concatenate(
        [
            i32(integers(rng, -LIMIT, LIMIT, (3, n))),
            *(i32(integers(rng, -(2**b), 2**b, (2, n))) for b in range(0, 30, 2) if 2**b <= LIMIT),
            i32(np.full((1, n), LIMIT)),
            i32(np.full((1, n), -LIMIT)),
            i32(np.zeros((1, n))),
            i32(np.eye(1, n) * LIMIT),
        ]
    )
    inputs = (x, *parameters(n, eps, 2.0**-12))
    check(OPERATOR, *inputs)
    check(OPERATOR, x[None, :7], *inputs[1:])
    proved(OPERATOR, [operand(-LIMIT, LIMIT, *x.shape), *constants(*inputs[1:])], inputs)


@pytest.mark.parametrize("n", [60, 384, 4096])
@pytest.mark.parametrize("x", ROWS, ids=lambda rows: rows.name)
def test_error_is_within_the_stated_bound(n: int, x: Rows) -> None:
    rows: Array = x.make(n, 2**26)
    (y,) = OPERATOR.evaluate(rows, *parameters(n, 0.0, 1.0))
    centered = rows - rows.mean(-1, keepdims=True)
    sigma = centered.std(-1, keepdims=True)
    exact = 2.0**11 * centered / sigma
    largest = np.abs(exact).max(-1, keepdims=True)
    bound = 0.5 + np.sqrt(n) / 16 + 3e-5 * np.abs(exact) + 2.0**-15 * largest
    mean_rounding = 2.0**11 * 0.5 / sigma
    assert (np.abs(y - exact) <= bound + mean_rounding).all()


def test_eps_is_added_to_the_variance() -> None:
    n, unit = 60, 2.0**-16
    x = i32(generator(1).normal(0, 200, (50, n)).round())
    (y,) = check(OPERATOR, x, *parameters(n, 1e-5, unit))
    real = x * unit
    centered = real - real.mean(-1, keepdims=True)
    exact = 2.0**11 * centered / np.sqrt(real.var(-1, keepdims=True) + 1e-5)
    assert np.abs(y - exact).max() <= 2.0**11 * (0.5 * unit / np.sqrt(1e-5)) + 2


def test_constant_rows_give_zero() -> None:
    x = i32([[7] * 5, [-LIMIT] * 5, [0] * 5])
    (y,) = check(OPERATOR, x, *parameters(5, 1e-12, 1e-3))
    assert (y == 0).all()


def test_rows_do_not_see_each_other() -> None:
    x = i32(integers(generator(2), -(2**20), 2**20, (6, 60)))
    constants_ = parameters(60, 1e-12, 1e-4)
    (together,) = check(OPERATOR, x, *constants_)
    for row, y in zip(x, together, strict=True):
        (alone,) = check(OPERATOR, row[None], *constants_)
        assert (alone[0] == y).all()


def test_large_inputs_are_refused() -> None:
    inputs = constants(*parameters(4, 0.0, 1.0))
    refuses(OPERATOR, operand(0, LIMIT + 1, 1, 4), *inputs, match="LayerNorm input ranges over")
