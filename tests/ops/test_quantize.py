"""Quantize: all 16-bit inputs, saturation, proofs."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.ops.quantize import OPERATOR
from tests.ops.harness import (
    Array,
    check,
    constants,
    generator,
    i32,
    integers,
    operand,
    proved,
    refuses,
)

EVERY = np.arange(-(2**15), 2**15, dtype=np.int32)


@pytest.mark.parametrize(("mul", "divisor"), [(1, 257), (77, 2**14), (-3, 999), (2**15 - 1, 2**22)])
def test_every_16_bit_input(mul: int, divisor: int) -> None:
    bias = 128 * divisor + divisor // 2
    inputs = (EVERY[:, None], i32([mul]), i32([bias]), i32([divisor]), i32(1), i32(255))
    (y,) = check(OPERATOR, *inputs)
    exact = EVERY.astype(np.float64) * mul / divisor + 128
    assert (np.abs(y[:, 0] - np.clip(exact, 1, 255)) <= 0.5 + 1e-9).all()


def case() -> tuple[Array, ...]:
    rng = generator(3)
    x = i32(integers(rng, -(2**17), 2**17, (2, 5, 60)))
    mul = i32(integers(rng, -(2**12), 2**12, (60,)))
    divisor = 2 ** i32(rng.integers(0, 24, 60))
    return x, mul, i32(integers(rng, -(2**28), 2**28, (60,))), divisor, i32(0), i32(255)


def test_channels_and_bounds() -> None:
    inputs = case()
    check(OPERATOR, *inputs)
    proved(OPERATOR, [operand(-(2**17), 2**17, 2, 5, 60), *constants(*inputs[1:])], inputs)


@pytest.mark.parametrize(
    ("mul", "bias", "divisor", "lo", "hi", "message"),
    [
        (2**16, 0, 1, 0, 255, "Quantize product ranges over"),
        (2**14, 2**30, 1, 0, 255, "Quantize sum ranges over"),
        (1, 0, 0, 0, 255, "Quantize constants break C2 or C3"),
        (1, 0, 1, -1, 255, "Quantize constants break C2 or C3"),
        (1, 0, 1, 0, 256, "Quantize constants break C2 or C3"),
    ],
)
def test_violations_are_refused(
    mul: int, bias: int, divisor: int, lo: int, hi: int, message: str
) -> None:
    inputs = constants(i32([mul]), i32([bias]), i32([divisor]), i32(lo), i32(hi))
    refuses(OPERATOR, operand(-(2**16), 2**16, 1), *inputs, match=message)
