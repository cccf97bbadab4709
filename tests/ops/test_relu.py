"""Relu: exact."""

from __future__ import annotations

import numpy as np

from intcc.ops.relu import OPERATOR
from tests.ops.harness import check, generator, i32, integers, operand, proved


def test_onnxruntime_equals_reference_inside_the_bounds() -> None:
    x = i32(integers(generator(1), -(2**31), 2**31 - 1, (2, 3, 60)))
    (y,) = check(OPERATOR, x)
    assert (y == np.where(x > 0, x, 0)).all()
    proved(OPERATOR, [operand(-(2**31), 2**31 - 1, 2, 3, 60)], (x,))
    assert OPERATOR.prove(operand(-9, -3, 1))[0].max == 0
