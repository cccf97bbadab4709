"""BatchMatMul: exact products of activations."""

from __future__ import annotations

import pytest

from intcc.ops.batch_matmul import OPERATOR
from tests.ops.harness import Array, check, constants, generator, operand, proved, refuses, u8


def case(left: tuple[int, ...], right: tuple[int, ...], zero: int) -> tuple[Array, Array, Array]:
    rng = generator(len(left), left[-1], zero)
    return u8(rng.integers(0, 128, left)), u8(zero), u8(rng.integers(1, 256, right))


@pytest.mark.parametrize("zero", [0, 64, 127])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((1, 1), (1, 1)),
        ((5, 61), (61, 3)),
        ((2, 3, 7, 20), (2, 3, 20, 9)),
        ((2, 3, 129, 65), (2, 3, 65, 129)),
    ],
)
def test_onnxruntime_equals_reference_inside_the_bounds(
    left: tuple[int, ...], right: tuple[int, ...], zero: int
) -> None:
    a, z, b = case(left, right, zero)
    check(OPERATOR, a, z, b)
    operands = [operand(0, 127, *left), *constants(z), operand(1, 255, *right)]
    proved(OPERATOR, operands, (a, z, b))


@pytest.mark.parametrize(
    ("a", "b", "k", "message"),
    [
        ((0, 128), (1, 255), 8, "BatchMatMul left input ranges over"),
        ((0, 127), (0, 255), 8, "BatchMatMul right input ranges over"),
        ((0, 127), (1, 255), 2**18, "BatchMatMul result ranges over"),
    ],
)
def test_violations_are_refused(
    a: tuple[int, int], b: tuple[int, int], k: int, message: str
) -> None:
    refuses(OPERATOR, operand(*a, 2, k), *constants(u8(0)), operand(*b, k, 2), match=message)
