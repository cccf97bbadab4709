"""Embedding: exact rows, ids inside the table."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.ops.embedding import OPERATOR
from tests.ops.harness import check, constants, generator, i32, i64, operand, proved, refuses


@pytest.mark.parametrize("ids", [[[0]], [[6, 0, 3, 3, 1], [2, 4, 5, 6, 0]]])
def test_onnxruntime_equals_reference_inside_the_bounds(ids: list[list[int]]) -> None:
    rng = generator(1)
    table = rng.integers(-127, 128, (7, 60)).astype(np.int8)
    mul = i32(rng.integers(1, 2**24, (7, 1)))
    inputs = (i64(ids), table, mul)
    check(OPERATOR, *inputs)
    proved(OPERATOR, [operand(0, 6, 2, 5), *constants(table, mul)], inputs)


def test_violations_are_refused() -> None:
    table = constants(np.full((4, 2), 127, np.int8), i32(np.full((4, 1), 2**24)))
    for low, high in ((0, 4), (-1, 3)):
        refuses(
            OPERATOR,
            operand(low, high, 1, 1),
            *table,
            match=r"Embedding ids range over .* in a table of 4 rows",
        )
    large = constants(np.full((4, 2), 127, np.int8), i32(np.full((4, 1), 2**25)))
    refuses(OPERATOR, operand(0, 3, 1, 1), *large, match="Embedding ranges over")
