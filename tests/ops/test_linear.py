"""Linear: exact rounding division, pair bound, saturation."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.interval import Operand
from intcc.ops.linear import OPERATOR, pair_reach, product_interval, require_pair_bound
from tests.ops.harness import check, constants, generator, i32, operand, proved, refuses

SHAPES = [(1, 1, 1), (3, 60, 7), (5, 61, 60), (2, 384, 33)]


def case(rng: np.random.Generator, rows: int, k: int, n: int) -> tuple[np.ndarray, ...]:
    x = rng.integers(0, 256, (rows, k)).astype(np.uint8)
    weight = rng.integers(-64, 65, (k, n)).astype(np.int8)
    divisor = 2 * rng.integers(0, 3000, n).astype(np.int32) + 1
    bias = rng.integers(-(2**20), 2**20, n).astype(np.int32)
    return x, weight, bias, divisor, i32(rng.integers(0, 5)), i32(rng.integers(200, 256))


@pytest.mark.parametrize("shape", SHAPES)
def test_onnxruntime_equals_reference(shape: tuple[int, int, int]) -> None:
    inputs = case(generator(*shape), *shape)
    check(OPERATOR, *inputs)
    stacked = (np.stack([inputs[0], inputs[0][::-1]]), *inputs[1:])
    check(OPERATOR, *stacked)


def test_quotient_is_the_nearest_integer() -> None:
    # acc runs over every residue of an odd divisor, with and without ties in sight.
    divisor = 7
    x = np.arange(256, dtype=np.uint8)[:, None]
    inputs = (x, np.array([[1]], np.int8), i32([(divisor - 1) // 2]), i32([divisor]))
    (y,) = check(OPERATOR, *inputs, i32(0), i32(255))
    assert (np.abs(y.astype(float) - x / divisor) < 0.5).all()


def test_ties_of_a_power_of_two_go_up() -> None:
    x = np.arange(256, dtype=np.uint8)[:, None]
    inputs = (x, np.array([[1, -1]], np.int8), i32([4, 4 + 2040]), i32([8, 8]))
    (y,) = check(OPERATOR, *inputs, i32(0), i32(255))
    assert (y[:, 0] == np.floor(x[:, 0] / 8 + 0.5)).all()
    assert (y[:, 1] == np.floor((2040 - x[:, 0].astype(int)) / 8 + 0.5)).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_results_lie_in_the_proved_interval(shape: tuple[int, int, int]) -> None:
    inputs = case(generator(*shape, 1), *shape)
    proved(OPERATOR, [operand(0, 255, *shape[:2]), *constants(*inputs[1:])], inputs)


def test_interval_of_a_product_is_reached() -> None:
    rng = generator(5)
    weight = rng.integers(-64, 65, (9, 4)).astype(np.int8)
    interval = product_interval(operand(3, 200).interval, weight)
    highest = np.where(weight > 0, 200, 3).astype(object) * weight
    lowest = np.where(weight > 0, 3, 200).astype(object) * weight
    assert (interval.hi == highest.sum(0)).all()
    assert (interval.lo == lowest.sum(0)).all()


def test_pair_bound() -> None:
    x = operand(0, 255).interval
    # Products of unlike signs do not add up: only the larger of them counts.
    require_pair_bound(x, np.array([[64, 127, 1], [64, -127, 127], [127, -127, 0]], np.int8), "w")
    refuses(
        OPERATOR,
        operand(0, 255, 1, 2),
        *constants(np.array([[64], [65]], np.int8), i32([0]), i32([1]), i32(0), i32(255)),
        match=r"Linear weight has a pair of neighbouring products of up to 32895, above 32767",
    )


def test_pair_reach_is_reached() -> None:
    rng = generator(9)
    for k in (1, 2, 7):
        weight = rng.integers(-127, 128, (k, 3)).astype(np.int8)
        largest = rng.integers(0, 256, k)
        products = np.zeros((k + k % 2, 3), int)
        products[:k] = largest[:, None] * weight
        first, second = products[0::2], products[1::2]
        # A sum of two products is largest where each input is at one of its ends.
        ends = [a * first + b * second for a in (0, 1) for b in (0, 1)]
        assert pair_reach(largest, weight) == np.abs(ends).max()


@pytest.mark.parametrize(
    ("bias", "divisor", "lo", "hi", "message"),
    [
        (2**31 - 1, 3, 0, 255, "Linear accumulator ranges over"),
        (0, 6, 0, 255, "Linear constants break C3 or C4"),
        (0, 0, 0, 255, "Linear constants break C3 or C4"),
        (0, 3, 9, 8, "Linear constants break C3 or C4"),
        (0, 3, 0, 256, "Linear constants break C3 or C4"),
    ],
)
def test_violations_are_refused(bias: int, divisor: int, lo: int, hi: int, message: str) -> None:
    x = Operand(operand(0, 255).interval, (1, 1))
    inputs = constants(np.array([[1]], np.int8), i32([bias]), i32([divisor]), i32(lo), i32(hi))
    refuses(OPERATOR, x, *inputs, match=message)
