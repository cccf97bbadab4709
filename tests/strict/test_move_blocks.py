"""Move blocks: equal bits for any extents, places once for all that have the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intcc.backends.onnx.clean import remove_unused, share_equal_nodes
from intcc.backends.onnx.move_blocks import move_blocks
from tests.strict.harness import flat, kinds, node, run, same

MOVE: dict[str, Any] = {"perm": [0, 2, 1, 3]}


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int32])
@pytest.mark.parametrize("shape", [(1, 7, 3, 5), (2, 4, 6, 32), (3, 1, 2, 64)])
def test_rows_are_moved(kind: type[np.generic], shape: tuple[int, ...]) -> None:
    nodes = [node("Transpose", "x", "y", **MOVE), node("Add", "y y", "z")]
    model = flat(nodes, {"x": (kind, ["b", "n", shape[2], shape[3]])}, {"z": kind}, {})
    feeds = {"x": np.random.default_rng(1).integers(0, 50, shape).astype(kind)}
    before = run(model, feeds)
    assert move_blocks(model) == 1
    assert kinds(model).count("Gather") == 2
    same(before, model, feeds)


def test_equal_extents_share_their_places() -> None:
    nodes = [
        node("Transpose", "x", "a", **MOVE),
        node("Transpose", "w", "b", **MOVE),
        node("Concat", "a b", "y", axis=0),
    ]
    dims: list[int | str] = ["b", "n", 4, 8]
    u8 = np.uint8
    model = flat(nodes, {"x": (u8, dims), "w": (u8, dims)}, {"y": u8}, {})
    feeds = {k: np.arange(192).astype(u8).reshape(2, 3, 4, 8) for k in "xw"}
    before = run(model, feeds)
    assert move_blocks(model) == 2
    share_equal_nodes(model)
    remove_unused(model.graph)
    assert kinds(model).count("Range") == 1
    same(before, model, feeds)


def test_a_result_of_the_graph_keeps_its_name() -> None:
    nodes = [node("Transpose", "x", "y", **MOVE)]
    model = flat(nodes, {"x": (np.uint8, ["b", "n", 4, 8])}, {"y": np.uint8}, {})
    assert move_blocks(model) == 0


@pytest.mark.parametrize(
    ("perm", "width"),
    [([0, 2, 3, 1], 8), ([0, 3, 2, 1], 8), ([0, 2, 1, 3], 65), ([0, 2, 1, 3], "d")],
)
def test_others_stay(perm: list[int], width: int | str) -> None:
    nodes = [node("Transpose", "x", "y", perm=perm), node("Neg", "y", "z")]
    model = flat(nodes, {"x": (np.int32, ["b", "n", 4, width])}, {"z": np.int32}, {})
    assert move_blocks(model) == 0
