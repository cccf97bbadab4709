"""Widen tables: equal bits far beyond both ends, and refusals where 32 bits do not hold a place."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from intcc.backends.onnx.clean import remove_unused
from intcc.backends.onnx.tabulate import tabulate
from intcc.backends.onnx.widen_tables import widen_tables
from tests.strict.harness import Array, flat, kinds, node, run, same

U8, I8, I32 = np.uint8, np.int8, np.int32
LAYER = [
    node("MatMulInteger", "x weight", "acc"),
    node("Add", "acc bias", "sum"),
    node("Div", "sum divisor", "quotient"),
    node("Clip", "quotient low high", "s"),
]
#: Dear enough for a table, with constants by channel.
CURVE = [
    node("Mul", "s scale", "a"),
    node("Div", "a three", "b"),
    node("Mul", "b b", "c"),
    node("Div", "c five", "y"),
    node("Transpose", "y", "z"),
]


def layer(channels: int, low: int, **changed: Any) -> tuple[ir.Model, dict[str, Array]]:
    """Return a layer with a curve of four kinds, its tables made, and inputs to its ends."""
    rng = np.random.default_rng(channels)
    constants: dict[str, Any] = {
        "weight": rng.integers(-127, 128, (48, channels)).astype(I8),
        "bias": rng.integers(-5000, 5000, channels),
        "divisor": rng.integers(20, 900, channels),
        "scale": rng.integers(1, 5, channels),
        "low": low, "high": 200, "three": 3, "five": 5, **changed,
    }  # fmt: skip
    arrays = {k: v if k == "weight" else np.array(v, I32) for k, v in constants.items()}
    model = flat([*LAYER, *CURVE], {"x": (U8, ["n", 48])}, {"z": I32}, arrays)
    x = rng.integers(0, 256, (9, 48)).astype(U8)
    x[0], x[1] = 0, 255
    w = arrays["weight"]
    x[2], x[3] = np.where(w[:, 0] > 0, 255, 0), np.where(w[:, 0] < 0, 255, 0)
    return model, {"x": x}


def tabulated(model: ir.Model) -> None:
    assert tabulate(model) == 1
    remove_unused(model.graph)


@pytest.mark.parametrize(("channels", "low"), [(1584, 0), (40, 0), (40, 7)])
def test_no_clip_is_left(channels: int, low: int) -> None:
    model, feeds = layer(channels, low)
    before = run(model, feeds)
    tabulated(model)
    assert "Clip" in kinds(model)
    assert widen_tables(model, {}) == 1
    remove_unused(model.graph)
    assert "Clip" not in kinds(model)
    same(before, model, feeds)


def test_equal_divisors_and_one_divisor() -> None:
    for divisor in (31, np.full(40, 31)):
        model, feeds = layer(40, 0, divisor=divisor)
        before = run(model, feeds)
        tabulated(model)
        assert widen_tables(model, {}) == 1
        same(before, model, feeds)


@pytest.mark.parametrize(
    "changed",
    [
        {"low": -1},  # truncated and floored quotients differ there
        {"bias": np.full(40, 2**31 - 10**7), "divisor": np.full(40, 10**5)},  # no place for a shift
        {"divisor": np.full(40, -3)},
        {"divisor": 1, "scale": np.arange(40)},  # tables longer than LARGEST
    ],
)
def test_what_does_not_fit_stays(changed: dict[str, Any]) -> None:
    low = changed.pop("low", 0)
    model, _ = layer(40, max(low, 0), **changed)
    tabulated(model)
    if low < 0:
        clip = next(n for n in model.graph if n.op_type == "Clip")
        model.graph.initializers["low"].const_value = ir.tensor(np.array(low, I32))
        assert clip.inputs[1] is model.graph.initializers["low"]
    nodes = kinds(model)
    assert widen_tables(model, {}) == 0
    assert kinds(model) == nodes


def test_another_reader_keeps_the_clip() -> None:
    model, feeds = layer(40, 0)
    tabulated(model)
    quotient = next(n for n in model.graph if n.op_type == "Div").outputs[0]
    model.graph.outputs.append(quotient)
    assert widen_tables(model, {}) == 0
    assert len(run(model, feeds)) == 2
