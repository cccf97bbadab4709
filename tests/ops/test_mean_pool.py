"""MeanPool: exact half-up means over kept tokens."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from intcc.ops.mean_pool import OPERATOR
from tests.ops.harness import check, generator, i32, i64, integers, operand, proved


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 7, 60), (3, 128, 5)])
def test_onnxruntime_equals_reference_inside_the_bounds(shape: tuple[int, int, int]) -> None:
    rng = generator(*shape)
    x = i32(integers(rng, -(2**31), 2**31 - 1, shape))
    mask = i64(rng.integers(0, 3, shape[:2]))
    check(OPERATOR, x, mask)
    proved(OPERATOR, [operand(-(2**31), 2**31 - 1, *shape), operand(0, 2, *shape[:2])], (x, mask))


def test_means_round_half_up() -> None:
    rng = generator(9)
    x = i32(integers(rng, -20, 20, (50, 6, 3)))
    mask = i64(rng.integers(0, 2, (50, 6)))
    (y,) = check(OPERATOR, x, mask)
    for row, keep, got in zip(x.tolist(), mask.tolist(), y.tolist(), strict=True):
        kept = [r for r, k in zip(row, keep, strict=True) if k]
        for channel, value in enumerate(got):
            mean = Fraction(sum(r[channel] for r in kept), max(len(kept), 1))
            assert value == (mean + Fraction(1, 2)).__floor__()


def test_no_kept_token_gives_zero() -> None:
    (y,) = check(OPERATOR, i32(np.full((1, 4, 2), 99)), i64(np.zeros((1, 4))))
    assert (y == 0).all()


def test_padding_changes_nothing() -> None:
    x = i32(integers(generator(4), -(2**29), 2**29, (1, 5, 8)))
    longer = np.concatenate([x, np.full((1, 3, 8), 12345, np.int32)], 1)
    (short,) = check(OPERATOR, x, i64(np.ones((1, 5))))
    (long,) = check(OPERATOR, longer, i64([[1, 1, 1, 1, 1, 0, 0, 0]]))
    assert (short == long).all()
