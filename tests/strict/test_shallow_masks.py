"""Shallow masks: equal bits for all masks, and refusals where another reader sees the depth."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from intcc.backends.onnx.clean import remove_unused
from intcc.backends.onnx.shallow_masks import shallow_masks
from intcc.backends.onnx.widen_tables import widen_tables
from tests.strict.harness import Array, flat, kinds, node, run, same

I32, U8, I64 = np.int32, np.uint8, np.int64
LARGEST, CAP = 5000, 300
MASK = [
    node("Equal", "mask zero", "hidden"),
    node("Cast", "hidden", "flag", to=6),
    node("Mul", "flag lowest", "addend"),
    node("Unsqueeze", "addend one", "row"),
]
SCORES = [
    node("Clip", "x bottom top", "raw"),
    node("Add", "raw row", "scores"),
    node("ReduceMax", "scores last", "best", keepdims=1),
    node("Sub", "best scores", "apart"),
    node("Min", "apart cap", "near"),
]
LOOK_UP = [
    node("Shape", "near", "extents"),
    node("Reshape", "near flat", "places"),
    node("GatherElements", "table places", "found", axis=1),
    node("Reshape", "found extents", "y"),
]


def attention(
    *extra: onnx.NodeProto, lowest: int = -(2**28), look_up: bool = True
) -> tuple[ir.Model, dict[str, Array]]:
    rng = np.random.default_rng(3)
    constants: dict[str, Array] = {
        "zero": np.array(0, I64), "lowest": np.array(lowest, I32), "one": np.array([1], I64),
        "last": np.array([-1], I64), "cap": np.array(CAP, I32), "flat": np.array([1, -1], I64),
        "bottom": np.array(-LARGEST, I32), "top": np.array(LARGEST, I32),
        "table": rng.integers(0, 128, (1, CAP + 1)).astype(U8),
    }  # fmt: skip
    nodes = [*MASK, *SCORES, *(LOOK_UP if look_up else [node("Neg", "near", "y")]), *extra]
    outputs: dict[str, type[np.generic]] = {
        "y": U8 if look_up else I32,
        **{n.output[0]: I32 for n in extra},
    }
    inputs: dict[str, tuple[type[np.generic], list[int | str]]] = {
        "x": (I32, ["b", "q", "k"]),
        "mask": (I64, ["b", "k"]),
    }
    x = rng.integers(-LARGEST, LARGEST + 1, (4, 9, 7)).astype(I32)
    x[:, 0], x[:, 1], x[:, 2] = LARGEST, -LARGEST, rng.integers(-200, 200, (4, 7))
    x[:, 3, 1:], x[:, 3, 0] = LARGEST, -LARGEST  # the only visible key is the last of all
    mask = np.ones((4, 7), I64)
    mask[1, 4:], mask[2], mask[3, 1:] = 0, 0, 0
    return flat(nodes, inputs, outputs, constants), {"x": x, "mask": mask}


@pytest.mark.parametrize("look_up", [True, False])
def test_masked_keys_stay_at_the_cap(look_up: bool) -> None:
    model, feeds = attention(look_up=look_up)
    before = run(model, feeds)
    assert shallow_masks(model, {}) == 1
    depth = next(n for n in model.graph if n.op_type == "Mul").inputs[1]
    assert depth is not None and depth.const_value is not None
    assert int(depth.const_value.numpy()) == -(2 * LARGEST + CAP)
    same(before, model, feeds)


def test_distances_need_no_limit_then() -> None:
    model, feeds = attention()
    before = run(model, feeds)
    assert widen_tables(model, {}) == 0  # 2**28 is no length of a table
    assert shallow_masks(model, {}) == 1
    assert widen_tables(model, {}) == 1
    remove_unused(model.graph)
    assert "Min" not in kinds(model)
    same(before, model, feeds)


@pytest.mark.parametrize(
    "extra",
    [
        node("Neg", "addend", "z"),
        node("Neg", "scores", "z"),
        node("Neg", "best", "z"),
        node("Neg", "apart", "z"),
    ],
)
def test_other_readers_keep_the_depth(extra: onnx.NodeProto) -> None:
    model, _ = attention(extra)
    assert shallow_masks(model, {}) == 0


@pytest.mark.parametrize("lowest", [-(2 * LARGEST + CAP), -1, 7])
def test_no_mask_becomes_deeper(lowest: int) -> None:
    model, _ = attention(lowest=lowest)
    assert shallow_masks(model, {}) == 0


def test_another_reader_keeps_the_limit() -> None:
    model, feeds = attention(node("Neg", "near", "z"))
    before = run(model, feeds)
    assert shallow_masks(model, {}) == 1
    assert widen_tables(model, {}) == 0
    same(before, model, feeds)


@pytest.mark.parametrize("length", [CAP, CAP + 2])
def test_only_tables_that_end_at_the_limit_grow(length: int) -> None:
    model, _ = attention()
    table = model.graph.initializers["table"]
    assert table.const_value is not None
    table.const_value = ir.tensor(np.resize(table.const_value.numpy(), (1, length)))
    table.shape = ir.Shape((1, length))
    assert shallow_masks(model, {}) == 1
    assert widen_tables(model, {}) == 0
