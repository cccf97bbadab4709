"""LinearDynamic: equal bits in onnxruntime, one rounding, saturation, error against float."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.errors import RangeProofError
from intcc.ops import dynamic_quantize
from intcc.ops.linear_dynamic import OPERATOR, parameters
from tests.ops.harness import Array, check, constants, generator, i32, i64, operand, proved, refuses


def case(rows: int, k: int, n: int, largest: int = 2**27) -> tuple[Array, ...]:
    """Return the inputs of a layer whose outputs use most of int32."""
    rng = generator(rows, k, n)
    x = i32(rng.normal(0, largest / 6, (rows, k)).round())
    q, m, e = dynamic_quantize.OPERATOR.evaluate(x)
    weight = rng.integers(-64, 65, (k, n)).astype(np.int8)
    scale = rng.uniform(0.1, 1, n) * 2.0**29 / (largest * 64 * np.sqrt(k) * 127)
    mul, shift = parameters(scale, weight)
    return q, m, e, weight, mul, shift, i32(rng.integers(-(2**20), 2**20, n))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 60, 7), (5, 61, 60), (2, 384, 33)])
def test_onnxruntime_equals_reference_inside_the_bounds(shape: tuple[int, int, int]) -> None:
    inputs = case(*shape)
    check(OPERATOR, *inputs)
    check(OPERATOR, *(a[None] for a in inputs[:3]), *inputs[3:])
    q, m, k = operand(1, 255, *shape[:2]), operand(1, 2**15, 3, 1), operand(0, 15, 3, 1)
    proved(OPERATOR, [q, m, k, *constants(*inputs[3:])], inputs)


def test_exactly_one_rounding() -> None:
    q, m, k, weight, mul, shift, bias = case(6, 60, 9)
    (y,) = check(OPERATOR, q, m, k, weight, mul, shift, bias)
    for i, row in enumerate(q.tolist()):
        for j, column in enumerate(weight.T.tolist()):
            acc = sum((a - 128) * w for a, w in zip(row, column, strict=True))
            s = int(shift) - int(k[i, 0])
            exact = acc * int(m[i, 0]) * int(mul[j])
            assert y[i, j] == ((exact + (1 << s >> 1)) >> s) + int(bias[j])


def test_error_against_float() -> None:
    rng = generator(7)
    x = i32(rng.normal(0, 2**20, (40, 384)).round())
    weight = rng.integers(-64, 65, (384, 60)).astype(np.int8)
    scale = rng.uniform(1e-4, 1e-3, 60)
    mul, shift = parameters(scale, weight)
    q, m, k = dynamic_quantize.OPERATOR.evaluate(x)
    (y,) = check(OPERATOR, q, m, k, weight, mul, shift, i32(np.zeros(60)))
    exact = (x.astype(np.float64) @ weight) * scale * 127
    relative = np.sqrt(((y - exact) ** 2).mean() / (exact**2).mean())
    assert relative < 0.012  # the 8-bit input: step / sqrt(12) against sigma ~ amax / 3


def test_results_saturate() -> None:
    q, m, k = np.array([[255, 255], [1, 1]], np.uint8), i32([[2**15]] * 2), i32([[15]] * 2)
    weight = np.array([[64], [64]], np.int8)
    (y,) = check(OPERATOR, q, m, k, weight, i64([2**16]), i64(20), i32([5]))
    assert y.tolist() == [[2**29 - 2**16], [2**16 - 2**29]]


@pytest.mark.parametrize("k", range(16))
def test_every_exponent(k: int) -> None:
    q, m, _, weight, mul, shift, bias = case(3, 60, 7, 2**20)
    check(OPERATOR, q, m, np.full_like(m, k), weight, mul, shift, bias)


def test_parameters_refuse_a_saturating_scale() -> None:
    with pytest.raises(RangeProofError, match=r"LinearDynamic scale of 1e\+10 leaves a shift"):
        parameters(np.array([1e10]), np.full((60, 1), 64, np.int8))


@pytest.mark.parametrize(
    ("weight", "mul", "shift", "k", "message"),
    [
        (65, 1, 20, 15, "LinearDynamic weight has a pair of neighbouring products"),
        (64, 2**31 - 1, 20, 15, "LinearDynamic product ranges over"),
        (64, 1, 15, 15, "LinearDynamic constants break C3"),
        (64, 1, 63, 15, "LinearDynamic constants break C3"),
        (64, -1, 20, 15, "LinearDynamic constants break C3"),
    ],
)
def test_violations_are_refused(weight: int, mul: int, shift: int, k: int, message: str) -> None:
    rows = [operand(1, 255, 1, 9), operand(1, 2**15, 1, 1), operand(0, k, 1, 1)]
    w = np.full((9, 1), weight, np.int8)
    refuses(OPERATOR, *rows, *constants(w, i64([mul]), i64(shift), i32([0])), match=message)
