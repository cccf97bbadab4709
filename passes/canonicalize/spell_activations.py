"""Spell activations: those of straight pieces are sums, products and Clips with both limits.

    HardSigmoid(x)            Clip(x * alpha + beta, 0, 1)
    HardSwish(x)              x * Clip(x / 6 + 1/2, 0, 1)
    Clip(x, 0, nothing)       Relu(x)
    Clip(x, one limit)        Clip with the other at the end of float32

Exactness  float32 rounding of the spelled-out sums.
Order      before channels_last, which moves element-wise operators.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.graph import (
    add_initializer,
    fresh_name,
    insert_before,
    replace,
    scalar,
)

__all__ = ["SpellActivations"]

_END = float(np.finfo(np.float32).max)


class SpellActivations(ir.passes.InPlacePass):
    """Rewrite HardSigmoid, HardSwish and Clip."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Visit all nodes once."""
        changed = False
        for node in list(model.graph):
            if node.domain != "":
                continue
            if node.op_type == "Clip":
                changed |= _settle_limits(model.graph, node)
            elif node.op_type in ("HardSigmoid", "HardSwish"):
                changed |= _spell(model.graph, node)
        return ir.passes.PassResult(model, changed)


def _settle_limits(graph: ir.Graph, node: ir.Node) -> bool:
    given = [*node.inputs[1:3], None, None][:2]
    limits = [
        end if value is None else scalar(value)
        for value, end in zip(given, (-_END, _END), strict=True)
    ]
    if None in limits:
        return False
    low, high = limits
    if low == 0.0 and high == _END:
        relu = ir.node("Relu", [node.inputs[0]], name=str(node.name))
        relu.metadata_props.update(node.metadata_props)
        return _put(graph, node, [relu])
    if all(v is not None for v in given):
        return False
    node.resize_inputs(3)
    for index, number in enumerate(limits):
        limit = add_initializer(graph, "limit", np.array(number, np.float32))
        node.replace_input_with(index + 1, limit)
    return True


def _spell(graph: ir.Graph, node: ir.Node) -> bool:
    x, swish = node.inputs[0], node.op_type == "HardSwish"
    slope = 1 / 6 if swish else node.attributes.get_float("alpha", 0.2)
    offset = 0.5 if swish else node.attributes.get_float("beta", 0.5)
    numbers = (slope, offset, 0.0, 1.0)
    alpha, beta, low, high = (
        add_initializer(graph, "number", np.array(v, np.float32)) for v in numbers
    )
    product = ir.node("Mul", [x, alpha])
    total = ir.node("Add", [product.outputs[0], beta])
    made = [product, total, ir.node("Clip", [total.outputs[0], low, high])]
    if swish:
        made.append(ir.node("Mul", [x, made[-1].outputs[0]]))
    return _put(graph, node, made)


def _put(graph: ir.Graph, node: ir.Node, made: list[ir.Node]) -> bool:
    """Put a chain of nodes of the node's shape in its place."""
    old = node.outputs[0]
    name = str(old.name)
    for new in made:
        out = new.outputs[0]
        out.name = new.name = fresh_name(graph, f"{name}.{new.op_type.lower()}")
        out.type, out.shape = old.type, old.shape
        insert_before(node, [new])
    output = old.is_graph_output()
    replace(graph, old, made[-1].outputs[0])
    graph.remove(node, safe=True)
    if not output:
        made[-1].outputs[0].name = name
    return True
