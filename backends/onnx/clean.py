"""Clean an inlined graph: shared constants, nothing neutral, nothing twice, nothing unused.

    before   Constant nodes, x * 1, x + 0, two Shape nodes of equal shapes, dead nodes
    after    one initializer for each small constant, one node for each value

Exactness  no value changes.
Order      after inlining; again after each pass that leaves such things behind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import CommonSubexpressionEliminationPass

__all__ = [
    "constants_to_initializers",
    "initializer",
    "remove_neutral",
    "remove_unused",
    "share_equal_nodes",
]

_NEUTRAL = {"Mul": 1, "Div": 1, "Add": 0, "Sub": 0}
_Key = tuple[str, tuple[int, ...], bytes]


def _key(array: npt.NDArray[Any]) -> _Key:
    return array.dtype.str, array.shape, array.tobytes()


def initializer(graph: ir.Graph, name: str, array: npt.NDArray[Any]) -> ir.Value:
    """Return a constant of the graph by that name, a new one unless it is there already.

    Where the name belongs to another one, as may be of the user's, the new one gets a longer name.
    """
    while name in graph.initializers:
        known = graph.initializers[name].const_value
        if known is not None and _key(known.numpy()) == _key(array):
            return graph.initializers[name]
        name += "_"
    tensor = ir.tensor(array, name=name)
    value = ir.Value(
        name=name,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(tensor.dtype),
        const_value=tensor,
    )
    graph.register_initializer(value)
    return value


def constants_to_initializers(graph: ir.Graph) -> None:
    """Move Constant nodes to initializers, one for each distinct small array."""
    known: dict[_Key, ir.Value] = {}
    for value in graph.initializers.values():
        if value.const_value is not None and value.const_value.size <= 64:
            known.setdefault(_key(value.const_value.numpy()), value)
    for node in [n for n in graph if n.op_type == "Constant"]:
        array = np.asarray(_constant_array(node))
        key = _key(array)
        if key not in known:
            known[key] = initializer(graph, f"constant_{len(known)}", array)
        node.outputs[0].replace_all_uses_with(known[key])
        graph.remove(node, safe=True)


def _constant_array(node: ir.Node) -> npt.NDArray[Any]:
    for name, attribute in node.attributes.items():
        if name == "value":
            return np.asarray(attribute.as_tensor().numpy())
        if name == "value_int":
            return np.asarray(attribute.as_int(), np.int64)
        if name == "value_float":
            return np.asarray(attribute.as_float(), np.float32)
        if name == "value_ints":
            return np.asarray(attribute.as_ints(), np.int64)
    raise AssertionError(f"Constant with {list(node.attributes)}")


def remove_neutral(graph: ir.Graph) -> None:
    """Remove x*1, x/1, x+0 and x-0 where the constant does not broadcast x."""
    for node in list(graph):
        neutral = _NEUTRAL.get(node.op_type)
        if neutral is None or node.domain:
            continue
        x, c = node.inputs
        assert x is not None and c is not None
        if c.const_value is None and node.op_type in ("Mul", "Add"):
            x, c = c, x
        if c.const_value is None or c.const_value.size != 1 or x.const_value is not None:
            continue
        if int(c.const_value.numpy().reshape(-1)[0]) != neutral:
            continue
        if len(c.const_value.shape) > 1:  # may raise the rank of x
            rank = len(x.shape) if x.shape is not None else None
            if rank is None or len(c.const_value.shape) > rank:
                continue
        output = node.outputs[0]
        if output.is_graph_output():
            continue
        output.replace_all_uses_with(x)
        graph.remove(node, safe=True)


def share_equal_nodes(model: ir.Model) -> None:
    """Let equal nodes be one, and Shape nodes of equal symbolic shapes too."""
    graph = model.graph
    graph.sort()
    known: dict[tuple[object, ...], ir.Value] = {}
    for node in list(graph):
        x = node.inputs[0] if node.op_type == "Shape" else None
        if x is None or x.shape is None or not _named(x.shape):
            continue
        dims = tuple(str(d) for d in x.shape)
        start = node.attributes.get_int("start", 0)
        end = node.attributes.get_int("end", len(dims))
        output = node.outputs[0]
        kept = known.setdefault(dims[start:end], output)
        if kept is not output and not output.is_graph_output():
            output.replace_all_uses_with(kept)
            graph.remove(node, safe=True)
    CommonSubexpressionEliminationPass()(model)


def _named(shape: ir.Shape) -> bool:
    return all(isinstance(d, int) or d.value is not None for d in shape)


def remove_unused(graph: ir.Graph) -> None:
    """Remove nodes and initializers that no output needs."""
    changed = True
    while changed:
        changed = False
        for node in reversed(list(graph)):
            if all(not v.uses() and not v.is_graph_output() for v in node.outputs):
                graph.remove(node, safe=True)
                changed = True
    for name in [n for n, v in graph.initializers.items() if not v.uses()]:
        if not graph.initializers[name].is_graph_output():
            del graph.initializers[name]
