"""The graph's inputs and the one place where a sequence length is read from them."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["length_node", "main_input"]


def main_input(graph: ir.Graph) -> ir.Value:
    """Return the input that batch and sequence are read from: ids, or pixels."""
    for name in ("input_ids", "pixel_values"):
        for value in graph.inputs:
            if value.name == name:
                return value
    return graph.inputs[0]


def length_node(graph: ir.Graph, anchor: ir.Node) -> ir.Value:
    """Return Shape(input_ids)[1:2], made once and put first in the graph."""
    source = main_input(graph)
    for user in source.consumers():
        if user.op_type == "Shape" and user.metadata_props.get("intcc.length") == "1":
            return user.outputs[0]
    node = ir.node("Shape", [source], {"start": 1, "end": 2})
    node.metadata_props["intcc.length"] = "1"
    node.outputs[0].type = ir.TensorType(ir.DataType.INT64)
    node.outputs[0].shape = ir.Shape([1])
    node.outputs[0].name = "sequence_length"
    graph.insert_before(graph[0], [node])
    return node.outputs[0]
