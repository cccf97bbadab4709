"""Divisors of layers: which ones lie near, and those of an image that gets one zero point."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.passes.lowering.convolution import one_zero
from intcc.passes.lowering.divisors import MOST, Divisors
from intcc.qparams import QParams
from intcc.requantization import LARGEST_DIVISOR


def test_near() -> None:
    ratio = np.array([1.0, 2.9, 96.0, 4e6])
    (odd,) = Divisors().near(ratio)
    assert odd.tolist() == [1, 3, 97, MOST]
    (even,) = Divisors(half_even=True).near(ratio)
    assert even.tolist() == [1, 3, 97, LARGEST_DIVISOR]
    below, above = Divisors(powers=True).near(ratio)
    assert below.tolist() == [1, 2, 64, 2**19]
    assert above.tolist() == [2, 4, 128, 2**20]


@pytest.mark.parametrize(
    ("ratio", "odd", "power"), [(0.2, 1, 1), (3, 3, 4), (64, 65, 64), (64.5, 65, 128)]
)
def test_above(ratio: float, odd: int, power: int) -> None:
    assert Divisors().above(ratio) == odd
    assert Divisors(powers=True).above(ratio) == power


@pytest.mark.parametrize("powers", [False, True])
def test_one_zero_point_holds_all_channels(powers: bool) -> None:
    """A normalisation of images has a mean per channel."""
    form = QParams.of([0.017, 0.0175, 0.0174], [123.675, 116.28, 103.53])
    found, weight, divisor = one_zero(form, Divisors(powers))
    assert divisor & (divisor - 1) == 0 if powers else divisor % 2 == 1
    np.testing.assert_allclose(found.scale, form.scale * divisor / weight)
    assert found.zero == np.rint(found.zero)
    for ours, theirs, sign in zip(found.real_bounds(), form.real_bounds(), (-1, 1), strict=True):
        assert (sign * ours >= sign * theirs - 1e-12).all()
    # The widest channels reach 20 codes past the ends of a byte: no more is lost than that.
    assert divisor / weight < 1.11
