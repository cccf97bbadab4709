"""RMSNorm: equal bits in onnxruntime, error against float."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.ops.rms_norm import OPERATOR, parameters
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


@pytest.mark.parametrize("n", [1, 2, 60, 61, 384])
@pytest.mark.parametrize("eps", [0.0, 1e-6, 1.0])
def test_onnxruntime_equals_reference_inside_the_bounds(n: int, eps: float) -> None:
    rng = generator(n)
    x = np.concatenate(
        [
            *(i32(integers(rng, -(2**b), 2**b, (2, n))) for b in range(30)),
            i32(integers(rng, -LARGEST_INPUT, LARGEST_INPUT, (2, n))),
            i32(np.full((1, n), -LARGEST_INPUT)),
            i32(np.zeros((1, n))),
        ]
    )
    inputs = (x, *parameters(n, eps, 2.0**-12))
    check(OPERATOR, *inputs)
    limit = operand(-LARGEST_INPUT, LARGEST_INPUT, *x.shape)
    proved(OPERATOR, [limit, *constants(*inputs[1:])], inputs)


@pytest.mark.parametrize("n", [60, 384, 4096])
@pytest.mark.parametrize("x", ROWS, ids=lambda rows: rows.name)
def test_error_is_within_the_stated_bound(n: int, x: Rows) -> None:
    rows = x.make(n, 2**26)
    (y,) = OPERATOR.evaluate(rows, *parameters(n, 0.0, 1.0))
    wide = rows.astype(np.float64)
    exact = 2.0**11 * wide / np.sqrt((wide**2).mean(-1, keepdims=True))
    largest = np.abs(exact).max(-1, keepdims=True)
    bound = 0.5 + np.sqrt(n) / 16 + 3e-5 * np.abs(exact) + 2.0**-15 * largest
    assert (np.abs(y - exact) <= bound).all()


def test_tiny_activations_depend_on_eps() -> None:
    x = i32([[3, -3, 3, -3]])
    (with_eps,) = check(OPERATOR, x, *parameters(4, 9.0, 1.0))
    (without,) = check(OPERATOR, x, *parameters(4, 0.0, 1.0))
    assert np.abs(without).tolist() == [[2048] * 4]
    assert np.abs(with_eps - without / np.sqrt(2)).max() <= 1


def test_large_inputs_are_refused() -> None:
    refuses(
        OPERATOR,
        operand(0, LARGEST_INPUT + 1, 1, 4),
        *constants(*parameters(4, 0.0, 1.0)),
        match="RMSNorm input ranges over",
    )
