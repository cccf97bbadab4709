"""Sum rows: equal bits up to the last number that 32 bits hold."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.backends.onnx.sum_rows import sum_rows
from tests.strict.harness import Array, flat, kinds, node, run, same

I32, I64 = np.int32, np.int64
NODES = [node("Cast", "x", "wide", to=7), node("MatMul", "wide ones", "y"), node("Neg", "y", "z")]


def extremes(shape: tuple[int, ...], largest: int) -> Array:
    """Rows of the smallest number, rows of the largest, and rows of random ones."""
    x = np.random.default_rng(7).integers(-largest, largest + 1, shape).astype(I32)
    x[..., 0, :], x[..., 1, :] = largest, -largest
    return x


@pytest.mark.parametrize("shape", [(3, 384), (1, 3, 96), (2, 3, 4, 75)])
@pytest.mark.parametrize("group", [3, 5, 12, 384])
def test_sums_have_the_same_bits(shape: tuple[int, ...], group: int) -> None:
    n, largest = shape[-1], (2**31 - 1) // group
    dims = [f"d{i}" for i in range(len(shape) - 1)]
    model = flat(NODES, {"x": (I32, [*dims, n])}, {"z": I64}, {"ones": np.ones((n, 1), I64)})
    feeds = {"x": extremes(shape, largest)}
    before = run(model, feeds)
    assert sum_rows(model, {"x": (-largest, largest)}) == 1
    split = next(v for name, v in model.graph.initializers.items() if name.startswith("in_"))
    assert split.const_value is not None
    g = int(split.const_value.numpy()[-2])
    assert 3 <= g <= group and n % g == 0
    same(before, model, feeds)


def test_a_result_of_the_graph_keeps_its_name() -> None:
    model = flat(NODES[:2], {"x": (I32, ["m", 96])}, {"y": I64}, {"ones": np.ones((96, 1), I64)})
    assert sum_rows(model, {"x": (-9, 9)}) == 0


@pytest.mark.parametrize(
    ("n", "weights", "largest"),
    [
        (384, 1, 2**30),  # two numbers pass 32 bits
        (384, 2, 100),  # not a sum
        (32, 1, 100),  # so short that nothing is gained
        (127, 1, 2**27),  # 16 numbers fit, and none divides a prime
    ],
)
def test_what_gains_nothing_stays(n: int, weights: int, largest: int) -> None:
    ones = np.full((n, 1), weights, I64)
    model = flat(NODES, {"x": (I32, ["m", n])}, {"z": I64}, {"ones": ones})
    assert sum_rows(model, {"x": (-largest, largest)}) == 0
    assert kinds(model) == ["Cast", "MatMul", "Neg"]
