"""CachedAttention: equal bits, chunks and batches, windows, edges, error, proofs."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.errors import RangeProofError
from intcc.interval import Operand
from intcc.ops.cached import LARGEST_QUERY
from intcc.ops.cached_attention import OPERATOR, parameters
from tests.ops.caches import (
    UNIT,
    append,
    at_all_levels,
    caches,
    empty,
    float_attention,
    operands,
    relative_rms,
    steps,
)
from tests.ops.harness import (
    Array,
    check,
    constants,
    generator,
    i32,
    i64,
    integers,
    operand,
    proved,
    refuses,
)


def case(
    batch: int,
    n: int,
    past: int,
    *,
    heads: tuple[int, int] = (2, 2),
    dims: tuple[int, int] = (20, 20),
    window: int = 0,
    spread: float = 1.0,
) -> tuple[Array, ...]:
    """Return all inputs; Gaussian numbers whose scores deviate by `spread`."""
    rng = generator(batch, n, past, *heads, *dims)
    hq, hkv = heads
    total, factor = past + n, np.sqrt(spread)
    q = steps(rng.normal(0, factor, (batch, n, hq, dims[0])))
    k = steps(rng.normal(0, factor, (batch, total, hkv, dims[0])))
    v = steps(rng.normal(0, 1, (batch, total, hkv, dims[1])))
    return (q, *caches(k, v), *constants_of(heads, dims, window))


def constants_of(
    heads: tuple[int, int], dims: tuple[int, int], window: int = 0
) -> tuple[Array, ...]:
    return parameters(UNIT, UNIT, dims[0] ** -0.5, *heads, *dims, window)


@pytest.mark.parametrize("n", [1, 3, 17])
@pytest.mark.parametrize("past", [0, 1, 5, 40])
@pytest.mark.parametrize("batch", [1, 3])
def test_onnxruntime_equals_reference_inside_the_bounds(n: int, past: int, batch: int) -> None:
    inputs = case(batch, n, past)
    check(OPERATOR, *inputs)
    proved(OPERATOR, operands(inputs, 2**20), inputs)


@pytest.mark.parametrize("heads", [(1, 1), (2, 1), (6, 2), (4, 1), (12, 3)])
@pytest.mark.parametrize("dims", [(1, 1), (7, 5), (33, 64), (128, 128)])
def test_grouped_heads_and_odd_sizes(heads: tuple[int, int], dims: tuple[int, int]) -> None:
    check(OPERATOR, *case(2, 3, 4, heads=heads, dims=dims))


@pytest.mark.parametrize(("n", "past"), [(1, 0), (1, 40), (5, 12)])
def test_every_optimisation_level(n: int, past: int) -> None:
    at_all_levels(OPERATOR, 7, *case(2, n, past, heads=(6, 2), dims=(33, 16), window=7))


@pytest.mark.parametrize("window", [1, 2, 5, 41, 100])
def test_windows(window: int) -> None:
    inputs = case(1, 9, 32, window=window)
    (y,) = check(OPERATOR, *inputs)
    want = float_attention(inputs[0], inputs[1:7], 20**-0.5, window=window)
    assert relative_rms(y, want) <= 5e-4


def test_a_window_of_one_returns_the_token_itself() -> None:
    inputs = case(1, 4, 3, window=1)
    (y,) = check(OPERATOR, *inputs)
    values = inputs[4] * (inputs[5] * 2.0 ** inputs[6] / 127).swapaxes(2, 3)
    assert np.abs(y.transpose(0, 2, 1, 3) - values[:, :, 3:]).max() <= 0.5 + 2**-13 * 2**18


def test_one_call_equals_one_per_token() -> None:
    rng, heads, dims = generator(3), (6, 2), (9, 11)
    q, k, v = (
        i32(integers(rng, -(2**20), 2**20, (3, 13, h, d)))
        for h, d in ((heads[0], 9), (heads[1], 9), (heads[1], 11))
    )
    for window in (0, 4):
        rest = constants_of(heads, dims, window)
        (together,) = check(OPERATOR, q, *caches(k, v), *rest)
        keys, values = empty(3, 2, 9), empty(3, 2, 11, values=True)
        cache: tuple[tuple[Array, ...], tuple[Array, ...]] = (keys, values)
        for i in range(13):
            one = slice(i, i + 1)
            cache = (append(k[:, one], cache[0]), append(v[:, one], cache[1], values=True))
            (y,) = check(OPERATOR, q[:, one], *cache[0], *cache[1], *rest)
            np.testing.assert_array_equal(y, together[:, one])


def test_rows_of_a_batch_do_not_see_each_other() -> None:
    inputs = case(3, 4, 6, heads=(4, 2))
    (together,) = check(OPERATOR, *inputs)
    for b in range(3):
        (y,) = check(OPERATOR, *(x[b : b + 1] for x in inputs[:7]), *inputs[7:])
        np.testing.assert_array_equal(y[0], together[b])


@pytest.mark.parametrize("q", [0, 1, -1, 2**13 - 1, 2**13, LARGEST_QUERY, -LARGEST_QUERY])
@pytest.mark.parametrize("code", [-127, 0, 127])
@pytest.mark.parametrize(("m", "k"), [(1, 0), (2**15, 15)])
def test_equal_and_extreme_rows(q: int, code: int, m: int, k: int) -> None:
    shape = (1, 2, 20, 9)
    keys, values = np.full(shape, code, np.int8), np.full(shape, code, np.int8).swapaxes(2, 3)
    scale = (i32(np.full((1, 2, 1, 9), m)), i32(np.full((1, 2, 1, 9), k)))
    query = i32(np.full((1, 3, 4, 20), q))
    inputs = (query, keys, *scale, values, *scale, *constants_of((4, 2), (20, 20)))
    check(OPERATOR, *inputs)
    proved(OPERATOR, operands(inputs, LARGEST_QUERY), inputs)


@pytest.mark.parametrize("seed", range(6))
def test_ends_of_every_range(seed: int) -> None:
    rng = generator(seed)
    codes = [
        rng.choice(i64([-127, 0, 127]), shape).astype(np.int8)
        for shape in ((2, 2, 7, 11), (2, 2, 11, 7))
    ]
    m = [i32(rng.choice([1, 2, 2**14, 2**15], (2, 2, 1, 11))) for _ in range(2)]
    k = [i32(rng.choice([0, 1, 15], (2, 2, 1, 11))) for _ in range(2)]
    q = i32(rng.choice([-LARGEST_QUERY, -(2**14), 0, 1, LARGEST_QUERY], (2, 3, 6, 7)))
    heads = constants_of((6, 2), (7, 7))
    inputs = (q, codes[0], m[0], k[0], codes[1], m[1], k[1], *heads)
    check(OPERATOR, *inputs)
    proved(OPERATOR, operands(inputs, LARGEST_QUERY), inputs)


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(("keys", "bound"), [(16, 3e-4), (256, 5e-4), (2048, 9e-4)])
@pytest.mark.parametrize("dim", [64, 128])
def test_error_against_float(spread: float, keys: int, bound: float, dim: int) -> None:
    inputs = case(1, 8, keys - 8, heads=(4, 2), dims=(dim, dim), spread=spread)
    (y,) = OPERATOR.evaluate(*inputs)
    want = float_attention(inputs[0], inputs[1:7], dim**-0.5)
    assert relative_rms(y, want) <= bound


def test_a_large_weight_on_a_small_value_beside_thousands_of_small_weights() -> None:
    rng, large = generator(5), 9.0
    k, v = np.zeros((1, 2048, 1, 16)), rng.normal(1, 1, (1, 2048, 1, 16))
    k[0, 7], v[0, 7] = 1.0, v[0, 7] / 64
    q = steps(np.full((1, 1, 1, 16), large / 4))
    inputs = (q, *caches(steps(k), steps(v)), *constants_of((1, 1), (16, 16)))
    (y,) = check(OPERATOR, *inputs)
    assert relative_rms(y, float_attention(q, inputs[1:7], 0.25)) <= 5e-4


def test_units_too_coarse_are_refused() -> None:
    with pytest.raises(RangeProofError, match=r"CachedAttention scale of .* leaves a shift of"):
        parameters(2.0**-8, 2.0**-8, 1.0, 1, 1, 64, 64)


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        (0, operand(0, LARGEST_QUERY + 1, 1, 3, 2, 20), "CachedAttention query ranges over"),
        (1, operand(-128, 0, 1, 2, 20, 8), "CachedAttention keys ranges over"),
        (4, operand(-128, 0, 1, 2, 8, 20), "CachedAttention values ranges over"),
        (2, operand(1, 2**15 + 1, 1, 2, 1, 8), "CachedAttention key mantissa ranges over"),
        (6, operand(0, 16, 1, 2, 1, 8), "CachedAttention value exponent ranges over"),
        (1, operand(-127, 127, 1, 2, 20, 2**17 + 1), "over 131073 keys passes int32"),
        (1, operand(-127, 127, 1, 1, 20, 8), "constants of other heads than 2 over 1"),
        (10, Operand.of_constant(i64(2**31)), "constants break C3"),
        (10, Operand.of_constant(i64(2**31 - 1)), "CachedAttention score ranges over"),
        (11, Operand.of_constant(i64(0)), "constants break C3"),
        (12, Operand.of_constant(i64(17)), "constants break C3"),
        (13, Operand.of_constant(i64(0)), "constants break C3"),
    ],
)
def test_violations_are_refused(index: int, value: Operand, message: str) -> None:
    inputs = case(1, 3, 5)
    some = operands(inputs, 2**20)
    if index == 10:
        some[11] = constants(i64(1))[0]
    some[index] = value
    refuses(OPERATOR, *some, match=message)


def test_long_rows_of_queries_are_refused() -> None:
    some = operands(case(1, 1, 0, dims=(2100, 1)), LARGEST_QUERY)
    refuses(OPERATOR, *some, match="CachedAttention sum of a score ranges over")
