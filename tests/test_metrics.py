"""The figures, against literal examples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intcc.report.metrics import average_ranks, cosine, spearman, sqnr_db
from intcc.specs import Scale, TensorSpec


def test_ranks_of_ties_are_averaged() -> None:
    assert average_ranks(np.array([3, 1, 3, 3, 0])).tolist() == [4.0, 2.0, 4.0, 4.0, 1.0]


def test_spearman_of_literal_examples() -> None:
    assert spearman(np.array([1, 2, 3]), np.array([10, 20, 40])) == pytest.approx(1)
    assert spearman(np.array([1, 2, 3]), np.array([3, 2, 1])) == pytest.approx(-1)
    # By hand: ranks (1, 2.5, 2.5, 4) and (1, 3, 2, 4).
    x, y = np.array([0, 5, 5, 9]), np.array([1, 7, 3, 8])
    assert spearman(x, y) == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert math.isnan(spearman(np.array([1, 1]), np.array([1, 2])))


def test_cosine_and_sqnr() -> None:
    a = np.array([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]])
    b = np.array([[6.0, 8.0], [1.0, 0.0], [0.0, 2.0]])
    assert cosine(a, b).tolist() == [1.0, 0.0, 0.0]
    assert sqnr_db(np.array([10.0]), np.array([9.0])) == pytest.approx(20)
    assert sqnr_db(np.array([1.0]), np.array([1.0])) == math.inf


@given(st.integers(1, 2**20), st.integers(2, 40), st.integers(-128, 127), st.integers(-128, 127))
def test_codes_survive_a_round_trip(mul: int, shift: int, zero: int, code: int) -> None:
    scale = Scale(mul, shift, zero)
    q = np.array([code])
    assert scale.quantize(scale.dequantize(q), -128, 127).tolist() == [code]
    assert Scale.from_json(scale.to_json()) == scale


def test_scales_per_channel() -> None:
    scale = Scale((1, 3), 1, (0, 10), axis=1)
    q = np.array([[[2], [12]]])
    assert scale.dequantize(q).tolist() == [[[1.0], [3.0]]]
    assert scale.quantize(scale.dequantize(q), 0, 255).tolist() == q.tolist()


def test_scales_describe_themselves() -> None:
    assert Scale(1, 20).describe() == "q * 1 / 2^20"
    assert Scale((3, 3), 8, (128, 128), 1).describe() == "(q - 128) * 3 / 2^8"
    assert Scale((3, 5), 8, 7, 1).describe() == "(q - 7) * [3, 5] / 2^8"


def test_spec_round_trip() -> None:
    spec = TensorSpec("x", "uint8", ("batch", 3), Scale(1, 4, 7), 0, 200)
    assert TensorSpec.from_json(spec.to_json()) == spec
    assert spec.limits == (0, 200)
    assert TensorSpec("y", "int16", ()).limits == (-32768, 32767)
