"""Split Gemm: a fully connected layer is MatMul, then Add.

    before   Gemm(x, W [N,K], b [N], transB=1)
    after    Add(MatMul(x, W' [K,N]), b)

Exactness  alpha and beta other than 1 are multiplied into the constants: float32 rounding.
Order      any time after constants are folded.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.graph import (
    Array,
    add_initializer,
    constant,
    insert_before,
    replace,
)

__all__ = ["SplitGemm"]


class SplitGemm(ir.passes.InPlacePass):
    """Rewrite every Gemm whose second and third inputs are constants."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Visit all nodes once."""
        changed = False
        for node in list(model.graph):
            if node.op_type == "Gemm" and not node.attributes.get_int("transA", 0):
                changed |= self._rewrite(model.graph, node)
        return ir.passes.PassResult(model, changed)

    @staticmethod
    def _rewrite(graph: ir.Graph, node: ir.Node) -> bool:
        weight = constant(node.inputs[1])
        if weight is None:
            return False
        bias: Array | None = None
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            bias = constant(node.inputs[2])
            if bias is None:
                return False
        if node.attributes.get_int("transB", 0):
            weight = weight.T
        weight = weight * np.float32(node.attributes.get_float("alpha", 1.0))
        out = node.outputs[0]
        name = str(out.name)
        stem = str(node.inputs[1].name) if node.inputs[1] is not None else name
        product = ir.node("MatMul", [node.inputs[0], add_initializer(graph, stem, weight)])
        product.name = f"{node.name}.matmul"
        made = [product]
        if bias is not None:
            bias = np.broadcast_to(
                bias * np.float32(node.attributes.get_float("beta", 1.0)),
                bias.shape if bias.size == weight.shape[1] else (weight.shape[1],),
            ).reshape(-1)
            shift = add_initializer(graph, f"{name}.bias", bias)
            made.append(ir.node("Add", [product.outputs[0], shift], name=node.name))
        insert_before(node, made)
        for new in made:
            new.outputs[0].type, new.outputs[0].shape = out.type, out.shape
        product.outputs[0].name = f"{name}.matmul"
        replace(graph, out, made[-1].outputs[0])
        graph.remove(node, safe=True)
        made[-1].outputs[0].name = name
        return True
