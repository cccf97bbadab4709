"""Product: equal bits for every shape and shift, exact rounding, saturation."""

from __future__ import annotations

import pytest

from intcc.ops.product import OPERATOR
from tests.ops.harness import (
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

LIMIT = 2**31
ENDS = (i32(-LIMIT), i32(LIMIT - 1))


@pytest.mark.parametrize("shift", [0, 1, 2, 15, 16, 31, 32, 61, 62])
def test_shifts_at_the_ends_of_the_range(shift: int) -> None:
    rng = generator(shift)
    a, b = (i32(integers(rng, -LIMIT, LIMIT - 1, (3, 5, 60))) for _ in range(2))
    inputs = (a, b, i64(shift), *ENDS)
    check(OPERATOR, *inputs)
    whole = operand(-LIMIT, LIMIT - 1, 3, 5, 60)
    proved(OPERATOR, [whole, whole, *constants(*inputs[2:])], inputs)


@pytest.mark.parametrize("shape", [(3, 5, 1), (1, 5, 60), (1, 1, 60), (1, 1, 1), (60,)])
def test_extents_of_one_repeat(shape: tuple[int, ...]) -> None:
    rng = generator(*shape)
    a = i32(integers(rng, -(2**20), 2**20, (3, 5, 60)))
    b = i32(integers(rng, -(2**15), 2**15, shape))
    check(OPERATOR, a, b, i64(15), *ENDS)


def test_exact_rounding_and_saturation() -> None:
    rng = generator(1)
    a, b = (i32(integers(rng, -LIMIT, LIMIT - 1, (500,))) for _ in range(2))
    (y,) = check(OPERATOR, a, b, i64(33), i32(-(2**27)), i32(2**27))
    for p, q, r in zip(a.tolist(), b.tolist(), y.tolist(), strict=True):
        assert r == min(max((p * q + 2**32) >> 33, -(2**27)), 2**27)


def test_bounds_per_channel() -> None:
    a, b = i32([[3, -5]]), i32([[7, 2]])
    proofs = [constants(a)[0], constants(b)[0], *constants(i64(1), *ENDS)]
    proved(OPERATOR, proofs, (a, b, i64(1), *ENDS))
    squared = operand(0, 2**15, 2)
    (y,) = OPERATOR.prove(squared, squared, *constants(i64(2), *ENDS))
    assert (y.min, y.max) == (0, 2**28)


@pytest.mark.parametrize(("shift", "lo", "hi"), [(-1, 0, 1), (63, 0, 1), (5, 2, 1)])
def test_violations_are_refused(shift: int, lo: int, hi: int) -> None:
    inputs = [operand(-5, 5, 2), operand(-5, 5, 2), *constants(i64(shift), i32(lo), i32(hi))]
    refuses(OPERATOR, *inputs, match="Product constants break C2")
