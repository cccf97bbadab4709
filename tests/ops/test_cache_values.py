"""CacheValues: equal bits, one call or many, ranges."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.ops.cache_values import OPERATOR
from tests.ops.caches import append, empty
from tests.ops.harness import Array, check, generator, i32, integers, operand, proved, refuses, u8


def case(batch: int, new: int, past: int, heads: int, dim: int) -> tuple[Array, ...]:
    rng = generator(batch, new, past, heads, dim)
    return (
        u8(integers(rng, 1, 255, (batch, new, heads, dim))),
        i32(integers(rng, 1, 2**15, (batch, new, heads, 1))),
        i32(integers(rng, 0, 15, (batch, new, heads, 1))),
        integers(rng, -127, 127, (batch, heads, past, dim)).astype(np.int8),
        i32(integers(rng, 1, 2**15, (batch, heads, 1, past))),
        i32(integers(rng, 0, 15, (batch, heads, 1, past))),
    )


@pytest.mark.parametrize("new", [1, 3, 17])
@pytest.mark.parametrize("past", [0, 1, 5, 40])
@pytest.mark.parametrize("batch", [1, 3])
def test_onnxruntime_equals_reference(new: int, past: int, batch: int) -> None:
    check(OPERATOR, *case(batch, new, past, 3, 7))


def test_one_call_equals_one_per_token() -> None:
    x = i32(integers(generator(1), -(2**25), 2**25, (2, 9, 3, 5)))
    whole = append(x, empty(2, 3, 5, values=True), values=True)
    cache = append(x[:, :2], empty(2, 3, 5, values=True), values=True)
    for i in range(2, 9):
        cache = append(x[:, i : i + 1], cache, values=True)
    for a, b in zip(whole, cache, strict=True):
        np.testing.assert_array_equal(a, b)


def test_bounds_hold() -> None:
    inputs = case(1, 3, 4, 2, 5)
    ranges = [(1, 255), (1, 2**15), (0, 15), (-127, 127), (1, 2**15), (0, 15)]
    known = [operand(*r, *x.shape) for r, x in zip(ranges, inputs, strict=True)]
    proved(OPERATOR, known, inputs)
    values, vm, vk = OPERATOR.prove(*known)
    assert (values.min, values.max, vm.max, vk.max) == (-127, 127, 2**15, 15)


@pytest.mark.parametrize(
    ("index", "lo", "hi", "message"),
    [(0, 0, 255, "CacheValues codes ranges over"), (3, -128, 0, "CacheValues past ranges over")],
)
def test_codes_of_minus_128_are_refused(index: int, lo: int, hi: int, message: str) -> None:
    inputs = case(1, 1, 1, 1, 1)
    known = [operand(1, 1, *x.shape) for x in inputs]
    known[index] = operand(lo, hi, *inputs[index].shape)
    refuses(OPERATOR, *known, match=message)
