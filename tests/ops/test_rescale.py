"""Rescale: all 16-bit inputs, extreme constants, channels, proofs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intcc.dyadic import Dyadic
from intcc.interval import INT32
from intcc.ops.rescale import OPERATOR
from tests.ops.harness import check, constants, generator, i32, i64, operand, proved, refuses

EVERY = np.arange(-(2**15), 2**15, dtype=np.int32)
FULL = (i32(INT32.min), i32(INT32.max))


@pytest.mark.parametrize(
    ("mul", "shift"), [(1, 1), (3, 2), (2**31 - 1, 31), (2**31 - 1, 62), (46341, 20), (-5, 3)]
)
def test_every_16_bit_input(mul: int, shift: int) -> None:
    (y,) = check(OPERATOR, EVERY, i64(mul), i64(shift), *FULL)
    assert y.tolist() == [
        max(INT32.min, min(INT32.max, (x * mul + (1 << shift >> 1)) >> shift))
        for x in EVERY.tolist()
    ]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(INT32.min, INT32.max), min_size=1, max_size=9),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(1, 62),
    st.integers(INT32.min, 0),
    st.integers(0, INT32.max),
)
def test_onnxruntime_equals_reference(x: list[int], mul: int, shift: int, lo: int, hi: int) -> None:
    check(OPERATOR, i32(x), i64(mul), i64(shift), i32(lo), i32(hi))


def test_equals_the_dyadic_number() -> None:
    scale = Dyadic.from_real(0.001234)
    (y,) = check(OPERATOR, EVERY * 65536, i64(scale.mul), i64(scale.shift), *FULL)
    assert y.tolist() == [scale.apply(x * 65536) for x in EVERY.tolist()]


def test_channels_and_bounds() -> None:
    rng = generator(1)
    x = rng.integers(-(2**31), 2**31, (2, 3, 60)).astype(np.int32)
    mul = rng.integers(-(2**31), 2**31, 60)
    inputs = (x, mul, i64(33), i32(-(2**20)), i32(2**29))
    check(OPERATOR, *inputs)
    proved(OPERATOR, [operand(INT32.min, INT32.max, 2, 3, 60), *constants(*inputs[1:])], inputs)


@pytest.mark.parametrize(
    ("mul", "shift", "lo", "hi", "message"),
    [
        (2**32, 3, 0, 1, "Rescale product ranges over"),
        (1, 0, 0, 1, "Rescale constants break C2"),
        (1, 63, 0, 1, "Rescale constants break C2"),
        (1, 3, 2, 1, "Rescale constants break C2"),
    ],
)
def test_violations_are_refused(mul: int, shift: int, lo: int, hi: int, message: str) -> None:
    inputs = constants(i64(mul), i64(shift), i32(lo), i32(hi))
    refuses(OPERATOR, operand(INT32.min, INT32.max, 1), *inputs, match=message)
