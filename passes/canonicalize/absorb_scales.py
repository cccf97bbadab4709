"""Absorb scales: a number that multiplies all queries or keys joins the scale of attention.

    before   Mul(q, 0.125) -> Reshape -> RotaryEmbedding -> CausalAttention(scale=1)
    after    q -> Reshape -> RotaryEmbedding -> CausalAttention(scale=0.125)

Exactness  one float32 rounding per score instead of one per element.
Order      after simplify_movement.
"""

from __future__ import annotations

import onnx_ir as ir

from intcc.passes.canonicalize.graph import only_user, replace, scalar

__all__ = ["AbsorbScales"]

#: Nodes that are linear in their first input.
_LINEAR = {"Reshape", "Transpose", "RotaryEmbedding"}


class AbsorbScales(ir.passes.InPlacePass):
    """Follow the queries and keys of every CausalAttention to where they come from."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Remove the products that are found."""
        changed = False
        for node in list(model.graph):
            if node.op_type == "CausalAttention":
                changed |= _absorb(model.graph, node, 0) | _absorb(model.graph, node, 1)
        return ir.passes.PassResult(model, changed)


def _absorb(graph: ir.Graph, attention: ir.Node, index: int) -> bool:
    reader, value = attention, attention.inputs[index]
    while value is not None and only_user(value) is reader:
        node = value.producer()
        if node is not None and node.op_type in _LINEAR:
            reader, value = node, node.inputs[0]
            continue
        if node is None or node.op_type != "Mul":
            return False
        for side in (0, 1):
            factor, x = scalar(node.inputs[side]), node.inputs[1 - side]
            if factor is not None and x is not None:
                scale = attention.attributes["scale"].as_float() * factor
                attention.attributes["scale"] = ir.AttrFloat32("scale", scale)
                replace(graph, value, x)
                graph.remove(node, safe=True)
                return True
        return False
    return False
