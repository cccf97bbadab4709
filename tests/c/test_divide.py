"""Division by multiplication is exact for every dividend within its limit."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.backends.c.divide import Division, division, scaling


def quotient(t: np.ndarray, d: Division) -> np.ndarray:
    mul = np.uint64(1) if d.mul is None else d.mul.astype(np.uint64)
    if d.narrow:
        assert (t.astype(object) * mul.astype(object) < 2**32).all()
    assert (t.astype(object) * np.asarray(mul).astype(object) < 2**64).all()
    return (t.astype(np.uint64) * mul) >> np.asarray(d.shift, np.uint64)


@pytest.mark.parametrize("seed", range(30))
def test_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    top = int(rng.integers(1, 31))
    divisor = rng.integers(1, 2**top + 1, 50)
    limit = rng.integers(0, 2**31, 50)
    if seed % 3 == 0:
        divisor[:] = divisor[0]
    d = division(divisor, limit)
    near = (limit // divisor) * divisor
    for t in (limit, np.maximum(near - 1, 0), near, rng.integers(0, limit + 1), limit * 0):
        assert (quotient(t, d) == t // divisor).all()


def test_power_of_two_is_a_shift() -> None:
    d = division(np.full(7, 4096), np.full(7, 2**31 - 1))
    assert d.mul is None and d.shift == 12


def test_small_dividends_need_32_bits_only() -> None:
    d = division(np.array([37]), np.array([1023 * 37]))
    assert d.narrow and quotient(np.arange(1024 * 37), d)[-1] == 1023


def test_shift_of_32_is_preferred() -> None:
    assert division(np.array([1001, 3003]), np.array([255 * 3003, 255 * 3003])).shift == 32


def test_far_apart_divisors_shift_by_channel() -> None:
    divisor = np.array([1, 3, 2**30 + 1])
    d = division(divisor, np.full(3, 2**31 - 1))
    assert isinstance(d.shift, np.ndarray)
    t = np.full(3, 2**31 - 1)
    assert (quotient(t, d) == t // divisor).all()


@pytest.mark.parametrize("seed", range(3))
def test_scaling_is_exact_up_to_its_limit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(200):
        up, down = int(rng.integers(1, 60)), int(rng.integers(1, 3000))
        limit = int(rng.integers(1, 2 ** rng.integers(1, 20)))
        made = scaling(up, down, limit)
        if made is None:
            continue
        mul, power = made
        x = np.arange(limit + 1)
        assert (x * up // down == x * mul // power).all() and limit * mul < 2**31
        found += 1
    assert 100 < found < 200
