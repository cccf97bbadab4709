"""Write squares: the second power is a product.

    before   Pow(x, 2.0)          squared ReLU
    after    Mul(x, x)

Exactness  one float32 product.
Order      after recognize_norms and recognize_gelu, which read powers.
"""

from __future__ import annotations

import onnx_ir as ir

from intcc.passes.canonicalize.graph import insert_before, replace, scalar

__all__ = ["WriteSquares"]


class WriteSquares(ir.passes.InPlacePass):
    """Rewrite every Pow with the exponent 2."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Visit all nodes once."""
        changed = False
        for node in list(model.graph):
            if node.op_type != "Pow" or node.domain not in ("", "ai.onnx"):
                continue
            x, out = node.inputs[0], node.outputs[0]
            if x is None or scalar(node.inputs[1]) != 2.0:
                continue
            made = ir.node("Mul", [x, x], name=node.name)
            insert_before(node, [made])
            made.outputs[0].type, made.outputs[0].shape = out.type, out.shape
            name = out.name
            replace(model.graph, out, made.outputs[0])
            model.graph.remove(node, safe=True)
            made.outputs[0].name = name
            changed = True
        return ir.passes.PassResult(model, changed)
