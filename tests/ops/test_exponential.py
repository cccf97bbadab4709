"""Exponential and Logistic: the whole exponent domain, against float mathematics."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.ops import exponential as module
from intcc.ops.exponential import LARGEST, exponential, logistic, parameters
from intcc.ops.sigmoid import OPERATOR as SIGMOID
from tests.ops.harness import Array, constants, i64, operand, refuses

#: (mul, shift) that make the exponent z equal to the input.
IDENTITY = (i64(4), i64(2))
EVERY = np.arange(LARGEST + 2, dtype=np.int64)


def exact(z: Array) -> Array:
    return np.asarray(2.0 ** (-z / 4096))


def test_every_exponent_is_within_the_documented_error() -> None:
    e = exponential(EVERY, *IDENTITY)
    assert np.abs(e / 2**16 - exact(EVERY)).max() <= 2.5e-5
    assert (np.diff(e) <= 0).all()
    assert e[0] == 65535 and e[LARGEST] == e[-1] == 0


def test_logistic_of_every_exponent() -> None:
    p = logistic(EVERY, *IDENTITY)
    assert np.abs(p / 2**30 - 1 / (1 + exact(EVERY))).max() <= 4.5e-5
    assert p.max() < 2**32


def test_far_inputs_saturate_before_anything_wraps() -> None:
    far = i64([2**30, 2**31 - 1])
    assert (exponential(far, i64(2**31 - 1), i64(2)) == 0).all()
    assert (exponential(far, i64(1), i64(62)) == 65535).all()


@pytest.mark.parametrize("unit", [1e-9, 3e-5, 0.01, 1.0, 50.0])
def test_parameters_hold_the_unit(unit: float) -> None:
    mul, shift = parameters(unit)
    octaves = int(mul) / 2.0 ** int(shift) / 4096
    assert octaves * np.log(2) == pytest.approx(unit, rel=2**-20)


@pytest.mark.parametrize(("mul", "shift"), [(-1, 4), (2**31, 4), (1, 0), (1, 63)])
def test_impossible_scales_are_refused(mul: int, shift: int) -> None:
    inputs = constants(i64(mul), i64(shift))
    refuses(SIGMOID, operand(-5, 5, 1), *inputs, match="Sigmoid constants break C1")


def test_functions_are_exported() -> None:
    assert {"Exponential", "Logistic"} <= set(module.__all__)
