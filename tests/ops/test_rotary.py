"""Rotary: equal bits for whole and partial heads, error against float, saturation."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.errors import RangeProofError
from intcc.ops.rotary import LARGEST, OPERATOR, table
from tests.ops.harness import (
    Array,
    check,
    constants,
    generator,
    i32,
    integers,
    operand,
    proved,
    refuses,
)

LIMIT = 2**31 - 1


def tables(positions: int, rotated: int) -> tuple[Array, Array]:
    """Return real cosines and sines [1, positions, 1, rotated / 2]."""
    rates = 10000.0 ** (-np.arange(0, rotated, 2) / rotated)
    angles = (np.arange(positions)[:, None] * rates)[None, :, None]
    return np.cos(angles), np.sin(angles)


#: Batch, positions, heads, D, R.
SHAPES = [
    (1, 1, 1, 2, 2),
    (2, 5, 3, 8, 8),
    (1, 7, 2, 9, 4),
    (3, 40, 4, 64, 16),
    (1, 17, 1, 128, 128),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_onnxruntime_equals_reference_inside_the_bounds(shape: tuple[int, ...]) -> None:
    batch, n, heads, dim, rotated = shape
    cos, sin = map(table, tables(n, rotated))
    for reach in (3, 2**20, LIMIT):
        x = i32(integers(generator(*shape), -reach, reach, (batch, n, heads, dim)))
        (y,) = check(OPERATOR, x, cos, sin)
        assert (y[..., rotated:] == x[..., rotated:]).all()
        proved(OPERATOR, [operand(-reach, reach, *x.shape), *constants(cos, sin)], (x, cos, sin))


def test_error_against_float() -> None:
    cos, sin = tables(500, 64)
    x = i32(generator(1).normal(0, 2**20, (1, 500, 3, 80)).round())
    (y,) = check(OPERATOR, x, table(cos), table(sin))
    x1, x2 = x[..., :32].astype(np.float64), x[..., 32:64].astype(np.float64)
    bound = 0.5 + (np.abs(x1) + np.abs(x2)) / 2**15
    assert (np.abs(y[..., :32] - (x1 * cos - x2 * sin)) <= bound).all()
    assert (np.abs(y[..., 32:64] - (x2 * cos + x1 * sin)) <= bound).all()


def test_scaled_tables_and_saturation() -> None:
    x = i32([[[[LIMIT, LIMIT, 5], [-LIMIT, LIMIT, LIMIT], [2**29 - 1, 0, -LIMIT]]]])
    cos, sin = (i32([[[[2**15 - 1]]]]), i32([[[[1 - 2**15]]]]))
    (y,) = check(OPERATOR, x, cos, sin)
    assert y[0, 0, 0].tolist() == [LARGEST, 0, 5]
    assert y[0, 0, 1].tolist() == [0, LARGEST, LIMIT]
    assert y[0, 0, 2].tolist() == [LARGEST, -LARGEST, -LIMIT]


def test_tables_round_and_refuse() -> None:
    assert table(np.array([1.0, -0.5, 1.99994])).tolist() == [16384, -8192, 32767]
    with pytest.raises(RangeProofError, match=r"Rotary table reaches 2, but Q14 holds"):
        table(np.array([2.0]))


@pytest.mark.parametrize(
    ("reach", "factor", "half", "message"),
    [
        (2**31, 1, 2, "Rotary input ranges over"),
        (1, 2**15, 2, "Rotary table ranges over"),
        (1, 1, 3, "Rotary shapes break C2"),
        (1, 1, 0, "Rotary shapes break C2"),
    ],
)
def test_violations_are_refused(reach: int, factor: int, half: int, message: str) -> None:
    rows = operand(-factor, factor, 1, 9, 1, half)
    refuses(OPERATOR, operand(-reach, 0, 1, 9, 2, 5), rows, rows, match=message)
