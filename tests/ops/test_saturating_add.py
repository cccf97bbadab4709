"""SaturatingAdd: exact inside the wide range, held at its ends, refused where int32 could wrap."""

from __future__ import annotations

import pytest

from intcc.ops.saturating_add import OPERATOR
from tests.ops.harness import check, generator, i32, integers, operand, proved, refuses

LARGEST = 2**30 - 1


@pytest.mark.parametrize(
    ("left", "right"), [((1,), (1,)), ((3, 5, 60), (60,)), ((2, 3, 7), (2, 1, 7))]
)
def test_onnxruntime_equals_reference(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    rng = generator(len(left), len(right))
    a, b = (i32(integers(rng, -LARGEST, LARGEST, shape)) for shape in (left, right))
    check(OPERATOR, a, b)
    proved(OPERATOR, [operand(-LARGEST, LARGEST, *s) for s in (left, right)], (a, b))


def test_wider_operands_are_refused() -> None:
    refuses(OPERATOR, operand(0, 2**30, 4), operand(0, 1, 4), match="SaturatingAdd operand")
    refuses(OPERATOR, operand(0, 1, 4), operand(-(2**30), 1, 4), match="SaturatingAdd operand")
