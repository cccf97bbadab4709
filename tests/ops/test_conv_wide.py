"""ConvWide: exact results on the int32 grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intcc.interval import Operand
from intcc.ops.conv_wide import OPERATOR
from intcc.ops.operator import Array
from tests.ops.harness import check, constants, generator, i32, operand, proved, refuses, u8
from tests.ops.test_conv import EACH, attributes, direct, products


def case(geometry: tuple[Any, ...]) -> tuple[Array, ...]:
    rng = generator(6)
    x, zero, weight = products(rng, geometry)
    n = len(weight)
    mul = rng.integers(1, 1000, n).astype(np.int32)
    return x, zero, weight, mul, rng.integers(-(2**20), 2**20, n).astype(np.int32)


@EACH
def test_onnxruntime_equals_the_definition(geometry: tuple[Any, ...]) -> None:
    options = attributes(geometry)
    x, zero, weight, mul, bias = case(geometry)
    (y,) = check(OPERATOR, x, zero, weight, mul, bias, **options)
    np.testing.assert_array_equal(y, direct(x, int(zero), weight, options) * mul + bias)


@EACH
def test_results_lie_in_the_proved_interval(geometry: tuple[Any, ...]) -> None:
    inputs = case(geometry)
    operands = [operand(0, 255, *geometry[:4]), *constants(*inputs[1:])]
    proved(OPERATOR, operands, inputs, **attributes(geometry))


@pytest.mark.parametrize(
    ("mul", "bias", "message"),
    [(2**20, 0, "ConvWide product ranges over"), (1, 2**31 - 1, "ConvWide result ranges over")],
)
def test_violations_are_refused(mul: int, bias: int, message: str) -> None:
    x = Operand(operand(0, 255).interval, (1, 4, 4, 1))
    inputs = constants(u8(0), np.full((1, 3, 3, 1), 9, np.int8), i32([mul]), i32([bias]))
    options: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "group": 1}
    refuses(OPERATOR, x, *inputs, match=message, pads=(1, 1, 1, 1), **options)
