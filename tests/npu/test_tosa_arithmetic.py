"""The arithmetic behind the rules, on the TOSA reference model: Python integers are the judge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from intcc.backends.tosa import arithmetic, wide, wide_rows
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.division import divide
from intcc.backends.tosa.graph import Tensor, Type
from intcc.backends.tosa.serialize import serialize
from intcc.backends.tosa.tables import look_up
from intcc.dyadic import rsh
from intcc.interval import Interval
from intcc.runtime.tosa import TosaModel
from intcc.specs import TensorSpec

pytest.importorskip("tosa_reference_model", reason="tosa-tools is not installed: make test-npu")

INT32 = 2**31 - 1
EDGES = [-(2**31), 1 - 2**31, -(2**30) - 1, -65537, -128, -3, -1, 0, 1, 2, 127, 2**14, 2**28 + 5,
         2**30, INT32 - 1, INT32]  # fmt: skip
Rule = Callable[..., Tensor]


def computed(rule: Rule, *columns: list[int], lacking: tuple[str, ...] = ()) -> list[int]:
    """Run a rule on columns of numbers, whose range is all that it is told."""
    b = Builder(lacking)
    shape = (1, len(columns[0]))
    tensors = [
        b.input(f"x{i}", shape, Type.INT32, Interval.of(min(c), max(c)))
        for i, c in enumerate(columns)
    ]
    result = rule(b, *tensors)
    for operation in b.graph.operations:
        assert operation.output.interval.fits(operation.output.type.limits)
    b.output(result, "y")
    inputs = [TensorSpec(t.name, "int32", shape) for t in tensors]
    model = TosaModel(serialize(b.graph), inputs, [TensorSpec("y", "int32", shape)])
    feeds = {t.name: np.array([c], np.int32) for t, c in zip(tensors, columns, strict=True)}
    found = [int(v) for v in model.run(feeds)["y"].reshape(-1)]
    assert all(result.lo <= v <= result.hi for v in found)
    return found


def numbers(lo: int, hi: int, seed: int) -> list[int]:
    edges = [e for e in EDGES if lo <= e <= hi]
    return [
        lo,
        hi,
        *edges,
        *np.random.default_rng(seed).integers(lo, hi, 40, endpoint=True).tolist(),
    ]


@pytest.mark.parametrize("divisor", [1, 2, 3, 6, 7, 60, 384, 1001, 2**20, 3 * 2**20])
@pytest.mark.parametrize(("lo", "hi"), [(0, INT32), (-(2**29), 2**29), (-9, 9), (0, 1)])
def test_floor_division(divisor: int, lo: int, hi: int) -> None:
    x = numbers(lo, hi, divisor)
    found = computed(lambda b, t: arithmetic.floor_divide(b, t, divisor), x)
    assert found == [v // divisor for v in x]


@pytest.mark.parametrize("lacking", [(), ("INTDIV",)], ids=["INTDIV", "bits"])
def test_division(lacking: tuple[str, ...]) -> None:
    b = [1, 2, 3, 65535, 2**20, 2**30, INT32, INT32]
    a = [min(INT32, v * 2**15 + v - 1) for v in b]
    rule = lambda builder, x, y: divide(builder, x, y, INT32)  # noqa: E731
    assert computed(rule, a, b, lacking=lacking) == [p // q for p, q in zip(a, b, strict=True)]


@pytest.mark.parametrize("mul", [0, 1, -1, 3, 2**15 - 1, -(2**31), 2**31 - 1, 2**31])
@pytest.mark.parametrize("shift", [0, 1, 2, 13, 14, 15, 31, 33, 62])
@pytest.mark.parametrize(("lo", "hi"), [(-(2**31), INT32), (-5, 2**29), (0, 255)])
def test_scaled(mul: int, shift: int, lo: int, hi: int) -> None:
    x = numbers(-(2**31), INT32, shift)
    found = computed(lambda b, t: arithmetic.scaled(b, t, mul, shift, lo, hi), x)
    assert found == [min(max(rsh(v * mul, shift), lo), hi) for v in x]


@pytest.mark.parametrize("bits", [0, 5, 14, 27, 28, 29, 42, 60])
@pytest.mark.parametrize(("lo", "hi"), [(-(2**31), INT32), (-(2**29), 2**29), (-1, 0)])
def test_limbs(bits: int, lo: int, hi: int) -> None:
    """floor((x * y - 12345678901) / 2**bits), saturated."""
    x, y = numbers(-(2**31), INT32, 1), numbers(-(2**31), INT32, 2)

    def rule(b: Builder, p: Tensor, q: Tensor) -> Tensor:
        product = wide.multiply(b, wide.split(b, p), wide.split(b, q))
        return wide.shift_right(b, wide.add_constant(b, product, -12345678901), bits, lo, hi)

    expected = [(p * q - 12345678901) >> bits for p, q in zip(x, y, strict=True)]
    assert computed(rule, x, y) == [min(max(v, lo), hi) for v in expected]


@pytest.mark.parametrize("bits", [0, 14, 60])
def test_limbs_times_zero(bits: int) -> None:
    """A product that is known has the extents of what was computed."""
    x = numbers(-(2**31), INT32, 1)

    def rule(b: Builder, p: Tensor) -> Tensor:
        product = wide.multiply(b, wide.split(b, p), wide.constant(np.array(0)))
        scaled = wide_rows.scaled_down(b, wide.add_constant(b, product, 5 << 60), bits)
        return b.add(wide_rows.length(b, product), wide.shift_right(b, scaled, 60 - bits, -9, 9))

    assert computed(rule, x) == [5] * len(x)


def test_difference_and_scaling_of_limbs() -> None:
    x, y = numbers(-(2**31), INT32, 3), numbers(-(2**20), 2**20, 4)[: len(EDGES) + 42]
    x = x[: len(y)]

    def rule(b: Builder, p: Tensor, q: Tensor) -> Tensor:
        square = wide.multiply(b, wide.split(b, p), wide.split(b, p))
        apart = wide.combine(b, wide.split(b, q), square, negative=True)
        return wide.shift_right(b, wide_rows.scaled_down(b, apart, 17), 14, -(2**31), INT32)

    expected = [max((q - p * p) >> 31, -(2**31)) for p, q in zip(x, y, strict=True)]
    assert computed(rule, x, y) == expected


def test_largest_and_length_of_limbs() -> None:
    x = [v for v in numbers(0, INT32, 5) if v >= 0]

    def rule(b: Builder, p: Tensor) -> Tensor:
        square = wide.multiply(b, wide.split(b, p), wide.split(b, p))
        largest = wide_rows.length(b, wide_rows.maximum(b, square))
        return b.add(b.mul(wide_rows.length(b, square), 100), largest)

    most = max((v * v).bit_length() for v in x)
    assert computed(rule, x) == [100 * (v * v).bit_length() + most for v in x]


def test_powers() -> None:
    exponents = list(range(45))

    def rule(b: Builder, e: Tensor) -> Tensor:
        return wide.shift_right(b, wide_rows.power(b, e), 20, 0, INT32)

    assert computed(rule, exponents) == [2**e >> 20 for e in exponents]


@pytest.mark.parametrize("reach", [2**7, 2**15, 2**30])
def test_look_up(reach: int) -> None:
    entries = np.random.default_rng(6).integers(0, reach, 1200)
    index = [0, 1, 509, 510, 511, 1019, 1020, 1198, 1199, 1200, 5000]
    found = computed(lambda b, t: look_up(b, t, entries), index)
    assert found == [int(entries[min(i, 1199)]) for i in index]


def test_row_maximum_without_its_operation() -> None:
    x = numbers(-(2**31), INT32, 7)
    rule = lambda b, t: b.add(b.mul(t, 0), b.maximum_along(t, -1))  # noqa: E731
    assert computed(rule, x, lacking=("REDUCE_MAX",)) == [max(x)] * len(x)
