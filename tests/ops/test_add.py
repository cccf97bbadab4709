"""Add: exact, broadcasting, never past int32."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.interval import Interval, Operand
from intcc.ops.add import OPERATOR
from tests.ops.harness import check, generator, i32, integers, operand, proved, refuses


@pytest.mark.parametrize(
    ("left", "right"),
    [((1,), (1,)), ((3, 5, 60), (60,)), ((2, 3, 7, 7), (2, 1, 1, 7)), ((2, 1, 1, 5), (1, 3, 5, 5))],
)
def test_onnxruntime_equals_reference(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    rng = generator(len(left), len(right))
    a, b = (i32(integers(rng, -(2**30), 2**30 - 1, shape)) for shape in (left, right))
    check(OPERATOR, a, b)
    proved(OPERATOR, [operand(-(2**30), 2**30 - 1, *s) for s in (left, right)], (a, b))


def test_bounds_stay_per_channel_where_channels_match() -> None:
    a = Operand(Interval.of([0, 10], [5, 20]), (3, 2))
    assert (OPERATOR.prove(a, a)[0].hi == np.array([10, 40])).all()
    b = Operand(Interval.of([0, 0, 0], [1, 1, 7]), (3, 3))
    mixed = OPERATOR.prove(a, b)[0]
    assert (mixed.min, mixed.max) == (0, 27)


def test_overflow_is_refused() -> None:
    refuses(OPERATOR, operand(0, 2**31 - 1, 4), operand(0, 1, 4), match="Add ranges over")
