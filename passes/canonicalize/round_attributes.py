"""Round attributes: float attributes hold what a file of the model would hold.

    before   epsilon = 1e-12              a double, as the tracer's Python gave it
    after    epsilon = 9.99999996e-13     the nearest float32

ONNX stores attributes in single precision. A graph that comes straight from the tracer and the
same graph read from a file thus lead to the same integers.

Exactness  what any reader of the file computes with.
Order      first, before an attribute is read.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

__all__ = ["RoundAttributes"]


class RoundAttributes(ir.passes.InPlacePass):
    """Visit all nodes, those of functions and subgraphs too."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Round every float attribute to the nearest float32."""
        for graph in (model.graph, *(function.graph for function in model.functions.values())):
            for node in ir.traversal.RecursiveGraphIterator(graph):
                for attribute in list(node.attributes.values()):
                    if attribute.is_ref():
                        continue
                    if attribute.type == ir.AttributeType.FLOAT:
                        rounded = float(np.float32(attribute.as_float()))
                        node.attributes[attribute.name] = ir.AttrFloat32(attribute.name, rounded)
                    elif attribute.type == ir.AttributeType.FLOATS:
                        numbers = [float(np.float32(v)) for v in attribute.as_floats()]
                        node.attributes[attribute.name] = ir.AttrFloat32s(attribute.name, numbers)
        return ir.passes.PassResult(model, False)
