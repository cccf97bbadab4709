"""Tabulate: equal bits, and only where a look-up is cheaper."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from intcc.backends.onnx.clean import remove_unused
from intcc.backends.onnx.tabulate import LARGEST_TABLE, tabulate
from tests.strict.harness import Array, flat, kinds, node, run, same

U8, I32, U32 = np.uint8, np.int32, np.uint32
#: y = ((x * 7 / 3) ** 2 / 5), divisions dear enough for a table.
CHAIN = [
    node("Mul", "s seven", "a"),
    node("Div", "a three", "b"),
    node("Mul", "b b", "c"),
    node("Div", "c five", "y"),
]


def numbers(kind: type[np.generic], **values: Any) -> dict[str, Array]:
    return {name: np.array(value, kind) for name, value in values.items()}


def limited(largest: int, *, scale: Any = 7) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """x -> Clip to [0, largest] -> CHAIN."""
    constants = numbers(I32, zero=0, top=largest, seven=scale, three=3, five=5)
    return [node("Clip", "x zero top", "s"), *CHAIN], constants


def signed(shape: tuple[int, ...], reach: int = 3000) -> Array:
    return np.random.default_rng(len(shape)).integers(-reach, reach, shape).astype(I32)


@pytest.mark.parametrize("shape", [(1,), (2, 7), (2, 3, 5, 4)])
def test_a_chain_becomes_one_look_up(shape: tuple[int, ...]) -> None:
    nodes, constants = limited(2000)
    dims = [f"d{i}" for i in range(len(shape) - 1)] + ["last"]
    model = flat([*nodes, node("Add", "y x", "z")], {"x": (I32, dims)}, {"z": I32}, constants)
    feeds = {"x": signed(shape)}
    before = run(model, feeds)
    assert tabulate(model) == 1
    remove_unused(model.graph)
    assert kinds(model).count("GatherElements") == 1
    same(before, model, feeds)


def test_channels_have_tables_of_their_own() -> None:
    scale = np.arange(1, 6)
    nodes, constants = limited(255, scale=scale)
    model = flat(
        [*nodes, node("Cast", "y", "w", to=7), node("Transpose", "w", "z", perm=[1, 0, 2])],
        {"x": (I32, ["n", "m", 5])}, {"z": np.int64}, constants,
    )  # fmt: skip
    feeds = {"x": signed((2, 3, 5), 300)}
    before = run(model, feeds)
    assert tabulate(model) == 1
    remove_unused(model.graph)
    assert "GatherElements" in kinds(model)
    same(before, model, feeds)


@pytest.mark.parametrize("kind", [I32, U8])
def test_channels_with_equal_constants_share_a_table(kind: type[np.generic]) -> None:
    scale = np.array([3, 1, 3, 2, 1, 3])
    nodes, constants = limited(200, scale=scale)
    constants["five"] = np.array([5, 5, 5, 5, 5, 9], I32)  # the last differs from the first here
    start = node("Clip", "x zero top", "s")
    if kind is U8:  # bytes: a look-up needs wider indices
        start = node("Min", "x eight", "t")
        nodes = [start, node("Cast", "t", "s", to=6), *nodes[1:]]
        constants["eight"] = np.array(200, U8)
    model = flat(
        [*nodes, node("Transpose", "y", "z")], {"x": (kind, ["n", 6])}, {"z": I32}, constants
    )
    feeds = {"x": np.arange(1536).reshape(-1, 6).astype(kind)}
    before = run(model, feeds)
    assert tabulate(model) == 1
    remove_unused(model.graph)
    same(before, model, feeds)
    offsets = next(v for name, v in model.graph.initializers.items() if name.endswith("_offsets"))
    assert offsets.const_value is not None
    places = offsets.const_value.numpy() // 201
    assert places[0] == places[2] != places[5] and places[1] == places[4] and places.max() == 3


def test_unsigned_bytes_need_no_clip_and_wrap_as_before() -> None:
    nodes = [
        node("Cast", "x", "w", to=12),
        node("Mul", "w big", "a"),  # wraps in 32 bits
        node("BitShift", "a shift", "b", direction="RIGHT"),
        node("Div", "b five", "c"),
        node("Cast", "c", "d", to=2),
        node("Reshape", "d target", "z"),
    ]
    constants = numbers(U32, big=2654435761, shift=7, five=5)
    constants["target"] = np.array([-1], np.int64)
    model = flat(nodes, {"x": (U8, ["n", 256])}, {"z": U8}, constants)
    feeds = {"x": np.arange(512).astype(U8).reshape(2, 256)}
    before = run(model, feeds)
    assert tabulate(model) == 1
    remove_unused(model.graph)
    same(before, model, feeds)


def test_distance_from_the_largest_is_never_negative() -> None:
    nodes = [
        node("Clip", "x low high", "k"),
        node("ReduceMax", "k axis", "top", keepdims=1),
        node("Sub", "top k", "d"),
        node("Min", "d cap", "s"),
        *CHAIN,
        node("Cast", "y", "p", to=2),
        node("Reshape", "p target", "z1"),
        node("Reshape", "y target", "z2"),
    ]
    constants = numbers(I32, low=-(2**20), high=2**20, cap=999, seven=7, three=3, five=5)
    constants |= numbers(np.int64, axis=[-1], target=[-1])
    model = flat(nodes, {"x": (I32, ["n", "m"])}, {"z1": U8, "z2": I32}, constants)
    feeds = {"x": signed((9, 33))}
    before = run(model, feeds)
    assert tabulate(model) == 2
    remove_unused(model.graph)
    same(before, model, feeds)


def untouched(
    nodes: list[onnx.NodeProto], constants: dict[str, Array], width: int | str = 4
) -> None:
    model = flat(
        [*nodes, node("Add", "y x", "z")], {"x": (I32, ["n", width])}, {"z": I32}, constants
    )
    before = kinds(model)
    assert tabulate(model) == 0
    assert kinds(model) == before


def test_what_does_not_pay_stays() -> None:
    nodes, constants = limited(255)
    cheap = [nodes[0], node("Mul", "s seven", "a"), node("Add", "a three", "y")]
    untouched(cheap, constants)


def test_wide_and_negative_ranges_stay() -> None:
    untouched(*limited(LARGEST_TABLE))
    nodes, constants = limited(100)
    untouched(nodes, constants | numbers(I32, zero=-1))


def test_row_values_stay() -> None:
    untouched(*limited(255), width=1)


def test_constants_of_more_axes_stay_and_the_chain_starts_after_them() -> None:
    nodes, constants = limited(255, scale=[[7], [2]])
    model = flat([*nodes, node("Add", "y x", "z")], {"x": (I32, [2, 4])}, {"z": I32}, constants)
    feeds = {"x": signed((2, 4), 300)}
    before = run(model, feeds)
    assert tabulate(model) == 1
    remove_unused(model.graph)
    assert kinds(model)[:2] == ["Clip", "Mul"]
    same(before, model, feeds)


def test_graph_outputs_stay() -> None:
    nodes, constants = limited(255)
    model = flat(nodes, {"x": (I32, ["n", 4])}, {"y": I32}, constants)
    assert tabulate(model) == 0
