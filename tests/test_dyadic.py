"""Dyadic numbers and division by invariant integers, against exact fractions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intcc.dyadic import (
    Dyadic,
    floor_division_magic,
    rounding_division_magic,
    rsh,
    saturated_quotient_magic,
)


@given(st.integers(-(2**62), 2**62), st.integers(1, 62))
def test_rsh_rounds_half_up(x: int, s: int) -> None:
    assert rsh(x, s) == (Fraction(x, 1 << s) + Fraction(1, 2)).__floor__()


@given(st.floats(1e-9, 2.0**28))
def test_from_real_is_within_its_bound(value: float) -> None:
    d = Dyadic.from_real(value)
    assert 0 <= d.mul < 2**31 and 2 <= d.shift <= 62
    assert abs(Fraction(d.mul, 1 << d.shift) - Fraction(value)) <= Fraction(value) / 2**30


def test_from_real_renormalises_a_mantissa_that_rounds_up() -> None:
    assert Dyadic.from_real(1 - 2**-40, bits=8).mul < 2**8
    assert Dyadic.from_real(0.0) == Dyadic(0, 2)
    assert float(Dyadic.from_real(0.375)) == 0.375


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 2.0**30])
def test_from_real_refuses(value: float) -> None:
    with pytest.raises(ValueError, match="no dyadic form"):
        Dyadic.from_real(value)


@given(st.integers(1, 2**24), st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_magic_equals_floor_division(divisor: int, limit: int, t: int) -> None:
    magic = floor_division_magic(divisor, limit)
    for value in (min(t, limit), limit, limit // divisor * divisor, 0):
        assert (value * magic.mul) >> magic.shift == value // divisor


def test_magic_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="no magic"):
        floor_division_magic(0, 5)


@pytest.mark.parametrize("divisor", [1, 2, 3, 5, 64, 1001, 2**16 + 1, 2**30 + 1, 2**31 - 1])
@pytest.mark.parametrize(("least", "most"), [(0, 255), (3, 100), (0, 1), (7, 7)])
def test_rounding_division_magic(divisor: int, least: int, most: int) -> None:
    """Equal to floor division wherever a quotient begins or ends, saturated alike."""
    offset = -(divisor // 2)
    most = min(most, (2**31 - 1) // divisor)
    least = min(least, most)
    factor = rounding_division_magic(divisor, offset, least, most, saturated=True)
    assert factor is not None and 0 <= factor.mul < 2**31 and 2 <= factor.shift <= 62
    for t in {k * divisor + j for k in range(least, most + 2) for j in (-1, 0, 1)} | {0}:
        found = factor.apply(t + offset)
        assert min(max(found, least), most) == min(max(t // divisor, least), most)


@pytest.mark.parametrize("divisor", [1, 2, 3, 6, 60, 384, 1001, 3 * 2**20])
@pytest.mark.parametrize(("least", "most"), [(0, 600), (-7, 5), (0, 0)])
def test_rounding_division_magic_is_exact(divisor: int, least: int, most: int) -> None:
    """No quotient is off, the first and the last included, wherever there is a multiplier."""
    for offset in (-(divisor // 2), 1 - divisor // 2)[: 1 + (divisor % 2 == 0)]:
        factor = rounding_division_magic(divisor, offset, least, most)
        if factor is None:  # ties of even divisors go the wrong way on one side of zero
            assert divisor % 2 == 0
            continue
        for k in range(least, most + 1):
            for t in (k * divisor, k * divisor + divisor - 1):
                assert factor.apply(t + offset) == k


def test_rounding_division_magic_may_not_exist() -> None:
    """Two billion quotients by 3 need more than 31 bits."""
    assert rounding_division_magic(3, -1, 0, 2**31) is None


@given(st.floats(0, 30.9), st.integers(0, 260), st.integers(-3, 3), st.integers(0, 9), st.data())
def test_saturated_quotients(
    size: float, last: int, beside: int, lo: int, data: st.DataObject
) -> None:
    """Wherever a quotient begins or ends, and at the ends of the dividends above all."""
    divisor, middle = int(2**size), data.draw(st.sampled_from([0, 128]))
    most = max(min((last + 1) * divisor - 1 + beside, 2**31 - 1), 0)
    least = data.draw(st.integers(-5, most))
    factor = saturated_quotient_magic(divisor, least, most, lo, 255, middle)
    if factor is None:
        assert divisor % 2 == 0 or divisor > 2**20  # ties on both sides of zero, or 31 bits
        return
    edges = {k * divisor + j for k in range(last + 2) for j in (-1, 0)}
    for t in {least, most} | {e for e in edges if least <= e <= most}:
        found = factor.apply(t - divisor // 2 - middle * divisor) + middle
        assert min(max(found, lo), 255) == min(max(t // divisor, lo), 255)


@pytest.mark.parametrize(
    ("divisor", "most"), [(50810751, 1981619288), (1066537076, 2133074151), (94768429, 2084905437)]
)
def test_the_last_quotient_of_large_divisors_is_not_one_more(divisor: int, most: int) -> None:
    """The multiplier nearest to 1 / divisor passes the next quotient one dividend early."""
    assert (most + 1) % divisor == 0
    nearest = rounding_division_magic(divisor, -(divisor // 2), 0, most // divisor, saturated=True)
    assert nearest is not None and nearest.apply(most - divisor // 2) == most // divisor + 1
    factor = saturated_quotient_magic(divisor, 0, most, 0, 255)
    assert factor is None or factor.apply(most - divisor // 2) == most // divisor
