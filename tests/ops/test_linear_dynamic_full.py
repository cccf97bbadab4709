"""LinearDynamicFull: equal bits with weights that no pair bound holds, the halves are pair-safe."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.ops import dynamic_quantize, linear_dynamic
from intcc.ops.linear_dynamic_full import OPERATOR
from tests.ops.harness import Array, check, constants, generator, i32, i64, operand, proved, refuses


def case(rows: int, k: int, n: int) -> tuple[Array, ...]:
    rng = generator(rows, k, n)
    q, m, e = dynamic_quantize.OPERATOR.evaluate(i32(rng.normal(0, 2**24, (rows, k)).round()))
    weight = rng.integers(-127, 128, (k, n)).astype(np.int8)
    mul, shift = linear_dynamic.parameters(rng.uniform(1e-6, 1e-5, n), weight)
    return q, m, e, weight, mul, shift, i32(rng.integers(-(2**20), 2**20, n))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 60, 7), (5, 61, 60), (2, 384, 33)])
def test_onnxruntime_equals_reference_inside_the_bounds(shape: tuple[int, int, int]) -> None:
    inputs = case(*shape)
    check(OPERATOR, *inputs)
    q, m, k = operand(1, 255, *shape[:2]), operand(1, 2**15, 3, 1), operand(0, 15, 3, 1)
    proved(OPERATOR, [q, m, k, *constants(*inputs[3:])], inputs)


def test_it_means_what_linear_dynamic_means() -> None:
    q, m, k, weight, *rest = case(4, 60, 9)
    safe = np.clip(weight, -64, 64)
    expected = linear_dynamic.OPERATOR.evaluate(q, m, k, safe, *rest)
    assert np.array_equal(check(OPERATOR, q, m, k, safe, *rest)[0], expected[0])


def test_every_weight_splits_into_pair_safe_halves() -> None:
    weight = np.arange(-127, 128)
    half = np.trunc(weight / 2).astype(int)
    assert max(np.abs(half).max(), np.abs(weight - half).max()) * 2 * 255 <= 32767


def test_the_odd_weight_is_refused() -> None:
    rows = [operand(1, 255, 1, 9), operand(1, 2**15, 1, 1), operand(0, 15, 1, 1)]
    fixed = constants(np.full((9, 1), -128, np.int8), i64([1]), i64(20), i32([0]))
    refuses(OPERATOR, *rows, *fixed, match="LinearDynamicFull weight ranges over")
