"""KeyMask: zero or far below."""

from __future__ import annotations

import numpy as np

from intcc.ops.key_mask import MASKED, OPERATOR
from tests.ops.harness import check, generator, i64, operand, proved


def test_onnxruntime_equals_reference_inside_the_bounds() -> None:
    mask = i64(generator(1).integers(-1, 3, (4, 61)))
    (y,) = check(OPERATOR, mask)
    assert y.shape == (4, 1, 1, 61)
    assert (y[:, 0, 0] == np.where(mask == 0, MASKED, 0)).all()
    proved(OPERATOR, [operand(-1, 2, 4, 61)], (mask,))


def test_one_token() -> None:
    check(OPERATOR, i64([[1]]))
    check(OPERATOR, i64([[0]]))
