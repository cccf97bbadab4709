"""LinearWide: exact on the int32 grid."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.ops.linear_wide import OPERATOR
from tests.ops.harness import Array, check, constants, generator, i32, operand, proved, refuses


def case(rows: int, k: int, n: int) -> tuple[Array, ...]:
    rng = generator(rows, k, n)
    x = rng.integers(0, 256, (rows, k)).astype(np.uint8)
    weight = rng.integers(-64, 65, (k, n)).astype(np.int8)
    mul = rng.integers(1, 2**31 // (255 * 64 * k) // 2 + 2, n).astype(np.int32)
    return x, weight, mul, rng.integers(-(2**20), 2**20, n).astype(np.int32)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 60, 7), (5, 61, 60), (2, 384, 33)])
def test_onnxruntime_equals_reference_inside_the_bounds(shape: tuple[int, int, int]) -> None:
    inputs = case(*shape)
    check(OPERATOR, *inputs)
    check(OPERATOR, inputs[0][None, None], *inputs[1:])
    proved(OPERATOR, [operand(0, 255, *shape[:2]), *constants(*inputs[1:])], inputs)


@pytest.mark.parametrize(
    ("weight", "mul", "bias", "message"),
    [
        (127, 1, 0, "LinearWide weight has a pair of neighbouring products"),
        (64, 2**17, 0, "LinearWide product ranges over"),
        (64, 2**16 - 1, 2**31 - 1, "LinearWide result ranges over"),
    ],
)
def test_violations_are_refused(weight: int, mul: int, bias: int, message: str) -> None:
    w = np.full((2, 1), weight, np.int8)
    inputs = constants(w, i32([mul]), i32([bias]))
    refuses(OPERATOR, operand(0, 255, 1, 2), *inputs, match=message)
