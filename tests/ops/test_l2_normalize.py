"""L2Normalize: equal bits in onnxruntime, error against float, angles."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.ops.l2_normalize import OPERATOR, parameters
from intcc.ops.rows import LARGEST_INPUT
from tests.ops.harness import (
    ROWS,
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


@pytest.mark.parametrize("n", [1, 2, 60, 384])
def test_onnxruntime_equals_reference_inside_the_bounds(n: int) -> None:
    rng = generator(n)
    x = np.concatenate(
        [
            *(i32(integers(rng, -(2**b), 2**b, (3, n))) for b in range(30)),
            i32(np.full((1, n), LARGEST_INPUT)),
            i32(np.eye(1, n)),
            i32(np.zeros((1, n))),
        ]
    )
    inputs = (x, *parameters(n))
    check(OPERATOR, *inputs)
    limit = operand(-LARGEST_INPUT, LARGEST_INPUT, *x.shape)
    proved(OPERATOR, [limit, *constants(*inputs[1:])], inputs)


@pytest.mark.parametrize("n", [60, 384, 4096])
@pytest.mark.parametrize("x", ROWS, ids=lambda rows: rows.name)
def test_error_is_within_the_stated_bound(n: int, x: Rows) -> None:
    rows = x.make(n, 2**26)
    (y,) = OPERATOR.evaluate(rows, *parameters(n))
    wide = rows.astype(np.float64)
    exact = 2.0**20 * wide / np.linalg.norm(wide, axis=-1, keepdims=True)
    bound = 33 + 3e-5 * np.abs(exact) + 2.0**-15 * np.abs(exact).max(-1, keepdims=True)
    assert (np.abs(y - exact) <= bound).all()
    cosine = (y * exact).sum(-1) / np.linalg.norm(y, axis=-1) / np.linalg.norm(exact, axis=-1)
    assert cosine.min() > 1 - 1e-6


def test_zeros_stay_zeros() -> None:
    (y,) = check(OPERATOR, i32(np.zeros((2, 5))), *parameters(5))
    assert (y == 0).all()


def test_large_inputs_are_refused() -> None:
    refuses(
        OPERATOR,
        operand(0, LARGEST_INPUT + 1, 1, 4),
        *constants(*parameters(4)),
        match="L2Normalize input ranges over",
    )
