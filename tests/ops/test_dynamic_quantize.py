"""DynamicQuantize: every 16-bit value, every magnitude, rows on their own."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.ops.dynamic_quantize import OPERATOR
from intcc.ops.rows import LARGEST_INPUT
from tests.ops.harness import (
    ROWS,
    Array,
    Rows,
    check,
    generator,
    i32,
    integers,
    operand,
    proved,
    refuses,
)


def assert_close(x: Array) -> None:
    q, m, k = check(OPERATOR, x)
    amax = np.abs(x.astype(np.float64)).max(-1, keepdims=True)
    exact = 127.0 * x / np.maximum(amax, 1)
    assert np.abs(q.astype(np.float64) - 128 - exact).max() <= 0.512
    assert (np.abs(m * 2.0**k - amax) <= 2.0 ** (k - 1) + (amax == 0)).all()


def test_every_16_bit_value() -> None:
    every = np.arange(-(2**15) + 1, 2**15, dtype=np.int32)[None]
    assert_close(every)
    assert_close(every * 2**14)


def test_every_largest_value_of_16_bits() -> None:
    amax = np.arange(2**16, dtype=np.int32)[:, None]
    assert_close(np.concatenate([amax, -(amax // 2), amax // 3], 1))
    assert_close(np.concatenate([-amax, amax // 2, -(amax // 3)], 1))


@pytest.mark.parametrize("bits", range(30))
def test_every_magnitude(bits: int) -> None:
    x = i32(integers(generator(bits), -(2**bits), 2**bits, (3, 5, 60)))
    assert_close(np.clip(x, -LARGEST_INPUT, LARGEST_INPUT))
    assert_close(i32([[2**bits - 1], [-(2**bits)], [2 ** max(bits - 1, 0) + 1]]))


@pytest.mark.parametrize("x", ROWS, ids=lambda rows: rows.name)
def test_rows_of_all_kinds(x: Rows) -> None:
    assert_close(x.make(384, 2**27))


def test_bounds_hold() -> None:
    for high in (1, 5, 2**15 - 1, 2**15, LARGEST_INPUT):
        x = i32(integers(generator(high), -high, high, (4, 61)))
        proved(OPERATOR, [operand(-high, high, 4, 61)], (x,))
        proved(OPERATOR, [operand(-high, high, 1, 2)], (i32([[high, -high]]),))


def test_rows_do_not_see_each_other() -> None:
    x = i32(integers(generator(3), -(2**20), 2**20, (6, 60)))
    together = check(OPERATOR, x)
    for i, row in enumerate(x):
        for a, b in zip(check(OPERATOR, row[None]), together, strict=True):
            assert (a[0] == b[i]).all()


def test_large_inputs_are_refused() -> None:
    refuses(
        OPERATOR, operand(0, LARGEST_INPUT + 1, 1, 4), match="DynamicQuantize input ranges over"
    )
