"""Row normalisation: the steps that LayerNorm, RMSNorm and L2Normalize share."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.ops.rows import (
    LARGEST_INPUT,
    RSQRT_ERROR,
    bit_length,
    constants,
    largest_output,
    narrow_rows,
    normalize_rows,
)
from tests.ops.harness import Array, generator, i64, integers


def normalize(y0: Array, gain: float, eps: int = 0, bits: int = 11) -> Array:
    return normalize_rows(y0, i64(eps), *constants(gain, bits))


def test_bit_length_is_that_of_python() -> None:
    edges = [v for s in range(62) for v in (2**s - 1, 2**s, 2**s + 1)]
    assert bit_length(i64(edges)).tolist() == [v.bit_length() for v in edges]


def test_narrow_rows_keep_15_bits_of_the_largest() -> None:
    x = integers(generator(1), -LARGEST_INPUT, LARGEST_INPUT, (500, 3))
    x >>= np.arange(500)[:, None] % 31
    y, sh = narrow_rows(x)
    assert np.abs(y).max() <= 2**15
    assert (np.abs(y).max(-1)[sh[:, 0] > 0] >= 2**14).all()
    assert (np.abs(y * 2**sh - x) <= 2**sh // 2).all()
    assert (y[sh[:, 0] == 0] == x[sh[:, 0] == 0]).all()


def test_reciprocal_root_at_every_bit_length() -> None:
    # A row of one element is normalised to +-gain whatever its size: R = gain * 2**q / |y|.
    q = 29
    for size in range(1, 31):
        x = np.minimum(i64([[2 ** (size - 1)], [2**size - 1], [3 * 2**size // 4]]), LARGEST_INPUT)
        y = normalize(x, 1.0, bits=20)
        limit = RSQRT_ERROR + np.minimum(np.abs(x), 2**15) / 2**30
        assert (np.abs(y / 2**20 - 1) <= limit + 2.0**-20).all(), (size, q)


@pytest.mark.parametrize("gain", [1.0, 2.0**0.5, 60**0.5, 384**0.5, 4096**0.5, 11008**0.5])
@pytest.mark.parametrize("bits", [11, 15])
def test_constants_fit_their_types(gain: float, bits: int) -> None:
    factor, lift, divisor, lower = constants(gain, bits)
    assert 2**28 <= int(factor) * (1 + 2e-4) < 2**30
    assert int(divisor) * int(lower) == 2**30 and int(lift) == 2**30 + int(divisor) // 2
    # r * gain + 2**61 fits int64, the largest exponent and table entry included.
    assert 2**30 * int(factor) + 2**61 < 2**63


@pytest.mark.parametrize("n", [1, 2, 60, 4096])
def test_results_stay_in_their_bound(n: int) -> None:
    gain = n**0.5
    limit = largest_output(gain, 11)
    peak = np.zeros((40, n), np.int64)
    peak[:, 0] = [min(2**s + d, LARGEST_INPUT) for s in range(20, 30) for d in (-1, 0, 1, 5)]
    assert np.abs(normalize(peak, gain)).max() <= limit
    assert np.abs(normalize(-np.maximum(peak, 3), gain)).max() <= limit


def test_epsilon_is_rounded_into_the_row_s_grid() -> None:
    x = i64([[2**20, -(2**20)], [2, -2], [0, 0]])
    y = normalize(x, 2.0**0.5, eps=2**41)
    exact = x / np.sqrt((2 * x[:, :1] ** 2 + 2.0**41) / 2) * 2**11
    assert np.abs(y - exact).max() <= 1
    assert (y[2] == 0).all()


def test_a_huge_epsilon_gives_zeros() -> None:
    assert (normalize(i64([[1, -1]]), 2.0**0.5, eps=2**60) == 0).all()
