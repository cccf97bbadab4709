"""Clip: saturation at both ends."""

from __future__ import annotations

from intcc.ops.clip import OPERATOR
from tests.ops.harness import check, constants, generator, i32, integers, operand, proved, refuses


def test_onnxruntime_equals_reference() -> None:
    x = i32(integers(generator(1), -(2**31), 2**31 - 1, (3, 50)))
    for lo, hi in ((-(2**31), 2**31 - 1), (0, 6000), (-7, -7)):
        check(OPERATOR, x, i32(lo), i32(hi))
        operands = [operand(-(2**31), 2**31 - 1, *x.shape), *constants(i32(lo), i32(hi))]
        proved(OPERATOR, operands, [x, i32(lo), i32(hi)])


def test_empty_range_is_refused() -> None:
    refuses(OPERATOR, operand(0, 1), *constants(i32(1), i32(0)), match="Clip constants break C1")
