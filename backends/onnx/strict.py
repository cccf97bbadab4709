"""Strict ONNX: standard integer operators only, no float in any tensor, value or attribute.

The dialect's operators are ONNX functions already. Emission attaches their bodies, inlines them
(or keeps them), turns constants into shared initializers and removes what does nothing:
a multiplication by one, a division by one, an addition of zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx import inliner

from intcc.ops import OPERATORS
from intcc.ops.operator import DOMAIN

__all__ = ["attach_functions", "emit"]

_NEUTRAL = {"Mul": 1, "Div": 1, "Add": 0, "Sub": 0}


def attach_functions(integer: ir.Model) -> onnx.ModelProto:
    """Return the dialect graph with the bodies of the operators it uses, nested ones included."""
    proto = ir.to_proto(integer)
    used = {n.op_type for n in proto.graph.node if n.domain == DOMAIN.domain}
    functions = {f.name: f for k in used for f in (OPERATORS[k].function, *OPERATORS[k].nested)}
    for name in sorted(functions):
        proto.functions.append(functions[name].to_function_proto())
    return proto


def emit(integer: ir.Model, *, keep_functions: bool = False) -> onnx.ModelProto:
    """Return the strict model.

    Args:
        integer: the INTEGER graph.
        keep_functions: keep `ai.intcc` functions instead of inlining them.
    """
    proto = attach_functions(integer)
    if keep_functions:
        return proto
    flat = ir.from_proto(inliner.inline_local_functions(proto))
    _constants_to_initializers(flat.graph)
    _remove_neutral(flat.graph)
    _remove_unused(flat.graph)
    flat.graph.sort()
    flat.opset_imports.pop(DOMAIN.domain, None)
    return ir.to_proto(flat)


def _key(array: npt.NDArray[Any]) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, array.tobytes()


def _constants_to_initializers(graph: ir.Graph) -> None:
    """Move Constant nodes to initializers, one for each distinct small array."""
    known: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}
    for value in graph.initializers.values():
        if value.const_value is not None and value.const_value.size <= 64:
            known.setdefault(_key(value.const_value.numpy()), value)
    for node in [n for n in graph if n.op_type == "Constant"]:
        array = np.asarray(_constant_array(node))
        key = _key(array)
        if key not in known:
            name = f"constant_{len(known)}"
            value = ir.Value(
                name=name,
                shape=ir.Shape(array.shape),
                type=ir.TensorType(ir.tensor(array).dtype),
                const_value=ir.tensor(array, name=name),
            )
            graph.register_initializer(value)
            known[key] = value
        node.outputs[0].replace_all_uses_with(known[key])
        graph.remove(node, safe=True)


def _constant_array(node: ir.Node) -> npt.NDArray[Any]:
    for name, attribute in node.attributes.items():
        if name == "value":
            return np.asarray(attribute.as_tensor().numpy())
        if name == "value_int":
            return np.asarray(attribute.as_int(), np.int64)
        if name == "value_ints":
            return np.asarray(attribute.as_ints(), np.int64)
    raise AssertionError(f"Constant with {list(node.attributes)}")


def _remove_neutral(graph: ir.Graph) -> None:
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


def _remove_unused(graph: ir.Graph) -> None:
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
