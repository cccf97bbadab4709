"""Fold batch norms: at inference a BatchNormalization is a scale and a shift per channel.

    before   Conv(x, W, b) -> BatchNormalization(gain, shift, mean, variance)
    after    Conv(x, W * s, (b - mean) * s + shift)             s = gain / sqrt(variance + epsilon)

    before   BatchNormalization(x)        behind anything else
    after    Add(Mul(x, s), shift - mean * s)

Exactness  float32 rounding of the new constants.
Order      once constants are folded, before channels_last.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.graph import (
    add_initializer,
    constant,
    dims,
    insert_before,
    only_user,
    producer,
    replace,
)

__all__ = ["FoldBatchNorm"]


class FoldBatchNorm(ir.passes.InPlacePass):
    """Rewrite every BatchNormalization whose parameters are constants."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Visit all nodes once."""
        changed = False
        for node in list(model.graph):
            if node.op_type == "BatchNormalization" and node.domain == "":
                changed |= _rewrite(model.graph, node)
        return ir.passes.PassResult(model, changed)


def _rewrite(graph: ir.Graph, node: ir.Node) -> bool:
    parameters = [constant(v) for v in node.inputs[1:5]]
    if any(p is None for p in parameters) or node.attributes.get_int("training_mode", False):
        return False
    gain, shift, mean, variance = (np.asarray(p, np.float64) for p in parameters)
    factor = gain / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
    offset = shift - mean * factor
    x, name = node.inputs[0], str(node.outputs[0].name)
    assert x is not None
    conv = producer(x, "Conv")
    weight = constant(conv.inputs[1]) if conv is not None else None
    if conv is not None and weight is not None and only_user(x) is node:
        given = conv.inputs[2] if len(conv.inputs) > 2 else None
        bias = np.zeros(len(weight)) if given is None else constant(given)
        if bias is not None:
            scaled = weight * factor.reshape(-1, *([1] * (weight.ndim - 1)))
            stem = str(conv.inputs[1].name) if conv.inputs[1] is not None else name
            constants = [
                add_initializer(graph, stem, scaled.astype(np.float32)),
                add_initializer(graph, f"{name}.bias", (bias * factor + offset).astype(np.float32)),
            ]
            conv.resize_inputs(3)
            for index, value in enumerate(constants):
                conv.replace_input_with(index + 1, value)
            replace(graph, node.outputs[0], x)
            graph.remove(node, safe=True)
            return True
    spread = (-1, *([1] * (len(dims(x)) - 2)))
    scale, term = (
        add_initializer(graph, f"{name}.{kind}", array.reshape(spread).astype(np.float32))
        for kind, array in (("scale", factor), ("shift", offset))
    )
    product = ir.node("Mul", [x, scale], name=f"{node.name}.scale")
    sum_ = ir.node("Add", [product.outputs[0], term], name=str(node.name))
    insert_before(node, [product, sum_])
    product.outputs[0].name = f"{name}.scaled"
    for made in (product.outputs[0], sum_.outputs[0]):
        made.type, made.shape = node.outputs[0].type, node.outputs[0].shape
    replace(graph, node.outputs[0], sum_.outputs[0])
    graph.remove(node, safe=True)
    sum_.outputs[0].name = name
    return True
