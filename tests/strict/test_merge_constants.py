"""Merge constants: equal bits, fewer additions, and only where nothing can wrap."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from intcc.backends.onnx.merge_constants import merge_constants
from tests.strict.harness import Array, flat, kinds, node, run, same

I32 = np.int32


def rows(largest: int, shape: tuple[int, ...] = (3, 4)) -> Array:
    return np.random.default_rng(largest).integers(-largest, largest + 1, shape).astype(I32)


def numbers(**values: object) -> dict[str, Array]:
    return {name: np.array(value, I32) for name, value in values.items()}


DIFFERENCE = [
    node("Sub", "x c", "n"),
    node("Mul", "n w", "p"),
    node("Add", "p b", "y"),
    node("Mul", "v n", "q"),
    node("Sub", "q b", "z"),
]


@pytest.mark.parametrize("c", [1000, [5, -6, 7, 0]])
def test_a_constant_moves_behind_all_products(c: object) -> None:
    constants = numbers(c=c, w=[7, -9, 11, 2**15], b=[1, -2, 3, 4], v=[-3, 5, 0, 2])
    model = flat(DIFFERENCE, {"x": (I32, ["m", 4])}, {"y": I32, "z": I32}, constants)
    feeds = {"x": rows(30000)}
    before = run(model, feeds)
    assert merge_constants(model, {"n": (-40000, 40000)}) == 1
    assert kinds(model).count("Sub") == 1 and not model.graph[0].outputs[0].uses()
    same(before, model, feeds)


@pytest.mark.parametrize(
    ("proved", "w", "b"),
    [
        ({}, 2, 1),  # x may be anything
        ({"n": (-40000, 40000)}, 2**16, 1),  # products may pass int32
        ({"n": (-40000, 40000)}, 2**15, -(2**31) + 5),  # the new constant may
    ],
)
def test_what_may_wrap_stays(proved: dict[str, tuple[int, int]], w: int, b: int) -> None:
    nodes = [node("Sub", "x c", "n"), node("Mul", "n w", "p"), node("Add", "p b", "y")]
    model = flat(nodes, {"x": (I32, ["m", 4])}, {"y": I32}, numbers(c=1000, w=w, b=b))
    assert merge_constants(model, proved) == 0
    assert kinds(model) == ["Sub", "Mul", "Add"]


def test_a_product_that_has_changed_has_another_range() -> None:
    """The second constant may not move: q * w * v passes int32, (q - c) * w * v does not."""
    nodes = [
        node("Sub", "x c", "n"), node("Mul", "n w", "p"), node("Add", "p b", "y"),
        node("Mul", "y v", "s"), node("Sub", "s b", "z"),
    ]  # fmt: skip
    constants = numbers(c=2**20 - 1, w=[32, -32, 32, -32], b=1, v=64)
    model = flat(nodes, {"x": (I32, ["m", 4])}, {"z": I32}, constants)
    feeds = {"x": rows(8) + I32(2**20 - 1)}
    before = run(model, feeds)
    assert merge_constants(model, {"n": (-8, 8)}) == 1
    second = next(n for n in model.graph if n.outputs[0].name == "s")
    assert second.inputs[0] is not None and second.inputs[0].name == "y"
    same(before, model, feeds)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Sub", "x c", "n"), node("Mul", "n w", "p"), node("Add", "p b", "y"),
         node("Abs", "n", "z")],
        [node("Sub", "x c", "n"), node("Mul", "n n", "p"), node("Add", "p b", "y")],
        [node("Sub", "x c", "n"), node("Mul", "n w", "p"), node("Abs", "p", "y")],
    ],
)  # fmt: skip
def test_a_constant_that_others_need_stays(nodes: list[onnx.NodeProto]) -> None:
    outputs = {name: I32 for n in nodes for name in n.output if name in ("y", "z")}
    model = flat(nodes, {"x": (I32, ["m", 4])}, outputs, numbers(c=3, w=2, b=1))
    assert merge_constants(model, {"n": (-100, 100)}) == 0


SUMS = [node("Add", "a c", "s"), node("Sub", "b d", "t"), node("Add", "s t", "y")]
LIMITS = {"s": (-(2**28), 2**28), "t": (-(2**28), 2**28)}


def test_constants_of_two_summands_become_one() -> None:
    constants = numbers(c=[1, 2, 3, 4], d=[5, -(2**20), 7, 8])
    model = flat(SUMS, {"a": (I32, ["m", 4]), "b": (I32, ["m", 4])}, {"y": I32}, constants)
    feeds = {"a": rows(2**27), "b": rows(2**26)}
    before = run(model, feeds)
    assert merge_constants(model, LIMITS) == 1
    same(before, model, feeds)
    needed = [n for n in model.graph if n.outputs[0].uses() or n.outputs[0].name == "y"]
    assert [n.op_type for n in needed] == ["Add", "Add"]


@pytest.mark.parametrize(
    ("proved", "more"),
    [
        ({"s": (-(2**28), 2**28)}, []),  # the other may be anything
        ({"s": (-(2**30), 2**30), "t": (-(2**30), 2**30)}, []),  # their sum may pass int32
        (LIMITS, [node("Abs", "s", "z")]),  # the first sum is needed as it is
    ],
)
def test_summands_that_may_wrap_or_are_needed_stay(
    proved: dict[str, tuple[int, int]], more: list[onnx.NodeProto]
) -> None:
    inputs: dict[str, tuple[type[np.generic], list[int | str]]]
    inputs = {"a": (I32, ["m", 4]), "b": (I32, ["m", 4])}
    outputs = {"y": I32} | ({"z": I32} if more else {})
    model = flat([*SUMS, *more], inputs, outputs, numbers(c=[1, 2, 3, 4], d=5))
    assert merge_constants(model, proved) == 0
