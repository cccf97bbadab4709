"""Quantizing rows on x86: every mantissa, its halves between codes, and rows of few columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.c.bench import Bench
from tests.c.test_x86_sets import SETS, built_set
from tests.ops.harness import Array

#: Whole vectors of both sizes, with and without numbers behind them, and none.
WIDTHS = (7, 32, 64, 103, 192)
ROWS = 64
LIMIT = 2**30 - 2**16 - 1


@pytest.fixture(scope="module")
def rows() -> Bench:
    b = Bench("codes", max_tokens=ROWS)
    for columns in WIDTHS:
        b.case(f"codes_{columns}")
        x = b.input(np.int32, ["batch", "sequence", columns], -LIMIT, LIMIT)
        b.output(*b.op("DynamicQuantize", [x], outputs=3))
    b.finish()
    return b


def between_codes(rng: np.random.Generator, largest: Array, columns: int) -> Array:
    """Return rows of a largest magnitude each; the others lie at and beside halves of codes."""
    halves = (2 * rng.integers(-127, 127, (largest.size, columns)) + 1) * largest[:, None] // 254
    beside = halves + rng.integers(-1, 2, halves.shape)
    x: Array = np.clip(beside, -largest[:, None], largest[:, None])
    x[np.arange(largest.size), rng.integers(0, columns, largest.size)] = largest
    x[np.arange(largest.size), rng.integers(0, columns, largest.size)] = -largest
    return x


def feeds(bench: Bench, largest: Array) -> dict[str, Array]:
    rng = np.random.default_rng(int(largest.sum()))
    made = {}
    for value, columns in zip(bench.graph.inputs, WIDTHS, strict=True):
        made[str(value.name)] = between_codes(rng, largest, columns).astype(np.int32)[None]
    return made


@pytest.mark.parametrize("name", SETS)
def test_set(rows: Bench, name: str, tmp_path: Path) -> None:
    native = built_set(rows, name, tmp_path)
    # Mantissas next to those of 16 bits, 2^15 among them, at all sizes of rows.
    edges = np.array([v << k for v in (16383, 16384, 32767, 32768) for k in range(15)])
    edges = np.concatenate([edges, edges + 1, edges - 1, 65535 << np.arange(14), [0, 1, 2, LIMIT]])
    rng = np.random.default_rng(3)
    drawn = rng.integers(1, 2 ** rng.integers(1, 31, 20 * ROWS))
    every = np.minimum(np.concatenate([edges, drawn]), LIMIT)
    for start in range(0, every.size // ROWS * ROWS, ROWS):
        given = feeds(rows, every[start : start + ROWS])
        got = native.run(given)
        for key, want in rows.expected(given).items():
            np.testing.assert_array_equal(got[key], want, err_msg=f"rows from {start}, {key}")
