"""GeluWide: every argument of the curve, error against float, the tail, grids fine and coarse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from intcc.ops.gelu_wide import OPERATOR, parameters
from tests.ops.harness import (
    Array,
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

LIMIT = 2**31 - 1
FORMS = pytest.mark.parametrize("form", ["none", "tanh"])
_erf = np.vectorize(math.erf)


def exact(x: Array, form: str) -> Array:
    """Return GELU in float64."""
    if form == "none":
        return np.asarray(x / 2 * (1 + _erf(x / math.sqrt(2))))
    return np.asarray(x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


@FORMS
def test_every_argument_of_the_curve(form: str) -> None:
    x = i32(np.arange(-7 * 2**13, 7 * 2**13 + 1))
    (y,) = check(OPERATOR, x, *parameters(2.0**-13, form))
    want = exact(x / 2**13, form) * 2**13
    assert (np.abs(y - want) <= 0.5 + 7.5e-5 * np.abs(x)).all()


@FORMS
@pytest.mark.parametrize("bits", [0, 4, 10, 16, 20, 26])
def test_grids(form: str, bits: int) -> None:
    rng = generator(bits)
    x = i32(np.rint(np.clip(rng.normal(0, 2, (3, 5, 6000)) * 2.0**bits, -LIMIT, LIMIT)))
    (y,) = check(OPERATOR, x, *parameters(2.0**-bits, form))
    want = exact(x / 2.0**bits, form) * 2.0**bits
    assert (np.abs(y - want) <= 0.5 + 1.0e-4 * np.abs(x)).all()


@FORMS
def test_near_zero_keeps_the_grid(form: str) -> None:
    x = i32(np.arange(-(2**12), 2**12 + 1))
    (y,) = check(OPERATOR, x, *parameters(2.0**-28, form))
    assert (np.abs(y - exact(x / 2.0**28, form) * 2.0**28) <= 0.75).all()


@FORMS
def test_ends_are_exact(form: str) -> None:
    x = i32(integers(generator(3), 5 * 2**20, LIMIT, (400,)))
    constants_ = parameters(2.0**-20, form)
    assert (check(OPERATOR, x, *constants_)[0] == x).all()
    assert (check(OPERATOR, -x, *constants_)[0] == 0).all()


@FORMS
def test_extremes_and_bounds(form: str) -> None:
    x = i32(integers(generator(2), -LIMIT, LIMIT, (4, 60)))
    for mul, shift in ((2**31 - 1, 62), (2**31 - 1, 1), (0, 1)):
        inputs = (x, i64(mul), i64(shift), *parameters(1.0, form)[2:])
        check(OPERATOR, *inputs)
        proved(OPERATOR, [operand(-LIMIT, LIMIT, 4, 60), *constants(*inputs[1:])], inputs)


@pytest.mark.parametrize(
    ("lo", "shift", "cubic", "quintic", "message"),
    [
        (-(2**31), 1, 0, 0, "GeluWide input ranges over"),
        (0, 0, 0, 0, "GeluWide constants break C1"),
        (0, 1, 0, 8508, "GeluWide constants break C2"),
        (0, 1, 2**15, 0, "GeluWide constants break C2"),
        (0, 1, 2**15, 2**15, "GeluWide constants break C2"),
    ],
)
def test_violations_are_refused(
    lo: int, shift: int, cubic: int, quintic: int, message: str
) -> None:
    curve = constants(i32(2**30), i32(cubic), i32(quintic))
    refuses(OPERATOR, operand(lo, 1, 2), *constants(i64(1), i64(shift)), *curve, match=message)
