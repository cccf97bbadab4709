"""Affine: exact gain and shift per channel."""

from __future__ import annotations

import pytest

from intcc.ops.affine import OPERATOR
from tests.ops.harness import check, constants, generator, i32, integers, operand, proved, refuses


@pytest.mark.parametrize("channels", [1, 60])
def test_onnxruntime_equals_reference_inside_the_bounds(channels: int) -> None:
    rng = generator(channels)
    x = i32(integers(rng, -(2**16), 2**16, (3, 5, 60)))
    mul = i32(integers(rng, -(2**14), 2**14, (channels,)))
    bias = i32(integers(rng, -(2**29), 2**29, (channels,)))
    check(OPERATOR, x, mul, bias)
    proved(OPERATOR, [operand(-(2**16), 2**16, 3, 5, 60), *constants(mul, bias)], (x, mul, bias))


@pytest.mark.parametrize(
    ("mul", "bias", "message"),
    [(2**15, 0, "Affine product ranges over"), (2**14, 2**30, "Affine result ranges over")],
)
def test_violations_are_refused(mul: int, bias: int, message: str) -> None:
    x = operand(-(2**16), 2**16, 1)
    refuses(OPERATOR, x, *constants(i32([mul]), i32([bias])), match=message)
