"""Clean: nothing twice, nothing neutral, nothing unused."""

from __future__ import annotations

import numpy as np

from intcc.backends.onnx.clean import (
    constants_to_initializers,
    initializer,
    remove_neutral,
    remove_unused,
    share_equal_nodes,
)
from tests.strict.harness import flat, kinds, node, run, same

I32, I64 = np.int32, np.int64


def test_equal_nodes_and_equal_shapes_are_shared() -> None:
    nodes = [
        node("Mul", "x two", "a"),
        node("Mul", "x two", "b"),
        node("Shape", "a", "s1", start=0, end=1),
        node("Shape", "x", "s2", start=0, end=1),
        node("Shape", "x", "s3", start=1, end=2),
        node("Concat", "s1 s2 s3", "s", axis=0),
        node("Expand", "b s", "y"),
    ]
    model = flat(nodes, {"x": (I32, ["n", "m"])}, {"y": I32}, {"two": np.array(2, I32)})
    feeds = {"x": np.arange(6, dtype=I32).reshape(2, 3)}
    before = run(model, feeds)
    share_equal_nodes(model)
    remove_unused(model.graph)
    assert sorted(kinds(model)) == ["Concat", "Expand", "Mul", "Shape", "Shape"]
    same(before, model, feeds)


def test_neutral_and_unused_nodes_go() -> None:
    one = np.array([1], I32)
    nodes = [
        node("Constant", "", "zero", value_int=0),
        node("Cast", "zero", "nothing", to=6),
        node("Mul", "x one", "a"),
        node("Div", "a one", "b"),
        node("Sub", "b ones", "unused"),
        node("Add", "b b", "y"),
    ]
    model = flat(nodes, {"x": (I32, ["n"])}, {"y": I32}, {"one": one, "ones": np.ones(3, I32)})
    feeds = {"x": np.arange(3, dtype=I32)}
    before = run(model, feeds)
    constants_to_initializers(model.graph)
    remove_neutral(model.graph)
    remove_unused(model.graph)
    assert kinds(model) == ["Add"]
    assert not model.graph.initializers
    same(before, model, feeds)


def test_a_neutral_constant_that_broadcasts_stays() -> None:
    model = flat(
        [node("Mul", "x one", "a"), node("Add", "a a", "y")],
        {"x": (I32, ["n"])}, {"y": I32}, {"one": np.ones((1, 1), I32)},
    )  # fmt: skip
    remove_neutral(model.graph)
    assert kinds(model) == ["Mul", "Add"]


def test_a_name_of_the_users_is_left_alone() -> None:
    model = flat(
        [node("Mul", "x one", "y")], {"x": (I32, ["n"])}, {"y": I32}, {"one": np.array(7, I32)}
    )
    known = model.graph.initializers["one"]
    assert initializer(model.graph, "one", np.array(7, I32)) is known
    other = initializer(model.graph, "one", np.array(1, I32))
    assert other is not known and other.name == "one_"
    assert initializer(model.graph, "one", np.array(1, I32)) is other
    assert run(model, {"x": np.arange(3, dtype=I32)})[0].tolist() == [0, 7, 14]
