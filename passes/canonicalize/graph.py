"""Small helpers that the canonicalizing passes share: constants in, constants out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

__all__ = [
    "Array",
    "add_initializer",
    "as_shape",
    "constant",
    "dims",
    "fresh_name",
    "insert_before",
    "int_list",
    "only_user",
    "producer",
    "replace",
    "scalar",
]

Array = npt.NDArray[Any]


def constant(value: ir.Value | None) -> Array | None:
    """Return the array of an initializer, None for anything else."""
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return np.asarray(value.const_value.numpy())


def scalar(value: ir.Value | None) -> float | None:
    """Return the number that a one-element constant holds, None for anything else."""
    array = constant(value)
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None


def int_list(value: ir.Value | None) -> list[int] | None:
    """Return a constant as a list of Python integers."""
    array = constant(value)
    return None if array is None else [int(v) for v in array.reshape(-1)]


def dims(value: ir.Value | None) -> list[int | str | None]:
    """Return the dimensions: numbers, symbol names, or None where unknown; [] without a shape."""
    if value is None or value.shape is None:
        return []
    return [d if isinstance(d, int) else d.value for d in value.shape]


def fresh_name(graph: ir.Graph, stem: str) -> str:
    """Return `stem`, numbered where the graph already has a value of that name."""
    taken = set(graph.initializers) | {str(v.name) for v in graph.inputs}
    taken |= {str(out.name) for node in graph for out in node.outputs}
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}_{count}"
    return name


def add_initializer(graph: ir.Graph, stem: str, array: Array) -> ir.Value:
    """Register a new constant."""
    name = fresh_name(graph, stem)
    # np.ascontiguousarray would turn a scalar into a vector.
    tensor = ir.tensor(np.array(array, order="C"), name=name)
    value = ir.Value(
        name=name,
        type=ir.TensorType(tensor.dtype),
        shape=ir.Shape(array.shape),
        const_value=tensor,
    )
    graph.register_initializer(value)
    return value


def producer(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """Return the node that computes `value` if its type is one of `op_types`."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type in op_types else None


def only_user(value: ir.Value) -> ir.Node | None:
    """Return the single node that reads `value`; None if there are more, or it is an output."""
    users = value.consumers()
    return users[0] if len(users) == 1 and not value.is_graph_output() else None


def insert_before(anchor: ir.Node, nodes: Iterable[ir.Node]) -> None:
    """Put `nodes` into the anchor's graph, just before it."""
    graph = anchor.graph
    assert graph is not None
    graph.insert_before(anchor, list(nodes))


def replace(graph: ir.Graph, old: ir.Value, new: ir.Value) -> None:
    """Let every reader of `old` read `new`; a graph output keeps its name, type and shape."""
    if new.shape is None:
        new.shape = old.shape
    if new.type is None:
        new.type = old.type
    if old.is_graph_output():
        if new.is_graph_input() or new.is_initializer() or new.is_graph_output():
            node = ir.node("Identity", [new])
            anchor = old.producer()
            assert anchor is not None
            insert_before(anchor, [node])
            node.outputs[0].type, node.outputs[0].shape = new.type, new.shape
            new = node.outputs[0]
        name, old.name = old.name, f"{old.name}_before"
        new.name = name
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)


def as_shape(extents: Sequence[Any]) -> ir.Shape:
    """Build a shape from numbers and symbol names."""
    return ir.Shape(list(extents))
