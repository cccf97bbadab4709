"""CachedAttentionCapped: equal bits, chunks, error, proofs; the rest is CachedAttention's."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.interval import Operand
from intcc.ops.cached import LARGEST_QUERY
from intcc.ops.cached_attention_capped import OPERATOR, parameters
from tests.ops.caches import UNIT, at_all_levels, float_attention, operands, relative_rms
from tests.ops.harness import Array, check, generator, i32, i64, proved, refuses
from tests.ops.test_cached_attention import case as uncapped


def case(
    softcap: float,
    batch: int,
    n: int,
    past: int,
    *,
    heads: tuple[int, int] = (2, 2),
    dims: tuple[int, int] = (20, 20),
    window: int = 0,
    spread: float = 1.0,
) -> tuple[Array, ...]:
    inputs = uncapped(batch, n, past, heads=heads, dims=dims, spread=spread)
    scale = dims[0] ** -0.5
    return (*inputs[:7], *parameters(UNIT, UNIT, scale, softcap, *heads, *dims, window))


@pytest.mark.parametrize(("n", "past"), [(1, 0), (3, 5), (17, 40)])
@pytest.mark.parametrize("softcap", [0.1, 20.0, 50.0, 1000.0])
def test_onnxruntime_equals_reference_inside_the_bounds(n: int, past: int, softcap: float) -> None:
    inputs = case(softcap, 2, n, past, heads=(6, 2), dims=(7, 5), spread=10.0, window=9)
    check(OPERATOR, *inputs)
    proved(OPERATOR, operands(inputs, 2**22), inputs)


def test_every_optimisation_level() -> None:
    at_all_levels(OPERATOR, 7, *case(50.0, 2, 5, 12, heads=(4, 1), window=7))


def test_one_call_equals_one_per_token() -> None:
    inputs = case(30.0, 1, 12, 0, heads=(4, 2), spread=20.0)
    (together,) = check(OPERATOR, *inputs)
    for i in range(12):
        q, keys, km, kk, values, vm, vk = inputs[:7]
        past = (keys, km, kk, values, vm, vk)
        cut = [x[:, :, : i + 1] if x is values else x[..., : i + 1] for x in past]
        (y,) = check(OPERATOR, q[:, i : i + 1], *cut, *inputs[7:])
        np.testing.assert_array_equal(y, together[:, i : i + 1])


@pytest.mark.parametrize("q", [0, LARGEST_QUERY, -LARGEST_QUERY])
def test_extreme_scores(q: int) -> None:
    inputs = list(case(50.0, 1, 3, 6))
    inputs[0] = i32(np.where(generator(1).random(inputs[0].shape) < 0.5, q, -q))
    inputs[2], inputs[3] = np.full_like(inputs[2], 2**15), np.full_like(inputs[3], 15)
    check(OPERATOR, *inputs)


@pytest.mark.parametrize("spread", [1.0, 3.0, 10.0, 30.0])
@pytest.mark.parametrize(("softcap", "bound"), [(20.0, 7e-4), (50.0, 1.6e-3)])
def test_error_against_float(spread: float, softcap: float, bound: float) -> None:
    inputs = case(softcap, 1, 8, 504, heads=(4, 2), dims=(64, 64), spread=spread)
    (y,) = OPERATOR.evaluate(*inputs)
    want = float_attention(inputs[0], inputs[1:7], 0.125, softcap=softcap)
    assert relative_rms(y, want) <= bound


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        (12, 45, "CachedAttention constants break C3"),
        (14, 2**31, "CachedAttentionCapped constants break C1"),
        (16, -1, "CachedAttentionCapped constants break C5"),
        (17, 45, "CachedAttentionCapped constants break C5"),
    ],
)
def test_violations_are_refused(index: int, value: int, message: str) -> None:
    some = operands(case(50.0, 1, 3, 5), 2**20)
    some[index] = Operand.of_constant(i64(value))
    refuses(OPERATOR, *some, match=message)
