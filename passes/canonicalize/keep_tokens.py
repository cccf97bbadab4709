"""Keep tokens: batch and sequence stay two axes where a model flattens them for its rows' sake.

    before   x [B,S,C] -> Reshape [-1,C] -> MatMul -> Add -> Relu -> Reshape [B,S,N]
    after    x [B,S,C] -> MatMul -> Add -> Relu -> [B,S,N]

All flattened values of a graph are freed together, and only if every reader works row by row.

Exactness  the same rows.
Order      after split_gemm and recognize_norms, which leave row-wise nodes.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.evaluate import BINDINGS, concrete_shape
from intcc.passes.canonicalize.graph import add_initializer, constant, dims, replace
from intcc.passes.canonicalize.resolve_shapes import reshape_target

__all__ = ["KeepTokens"]

_UNARY = {"Relu", "Gelu", "Sigmoid", "Tanh", "Identity"}
_BINARY = {"Add", "Sub", "Mul", "Div"}
_NORMS = {"LayerNormalization", "RMSNormalization"}


class KeepTokens(ir.passes.InPlacePass):
    """Remove the Reshapes that flatten tokens and those that undo it."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Find the flattened values; do nothing where one has a reader of another kind."""
        graph = model.graph
        entries = [node for node in graph if _flattens(node)]
        flat = {node.outputs[0] for node in entries}
        inner: list[ir.Node] = []
        exits: list[ir.Node] = []
        for node in graph:
            if not any(x in flat for x in node.inputs):
                continue
            if node.op_type == "Reshape":
                exits.append(node)
            elif _row_wise(node, flat):
                inner.append(node)
                flat.update(node.outputs)
            else:
                return ir.passes.PassResult(model, False)
        targets = [_target(node) for node in exits]
        if not entries or None in targets or any(v.is_graph_output() for v in flat):
            return ir.passes.PassResult(model, False)
        for node, target in zip(exits, targets, strict=True):
            name = f"{node.outputs[0].name}_shape"
            shape = add_initializer(graph, name, np.array(target, dtype=np.int64))
            node.replace_input_with(1, shape)
        for node in entries:
            assert node.inputs[0] is not None
            replace(graph, node.outputs[0], node.inputs[0])
        for node in inner:
            if node.op_type in _NORMS:
                node.attributes["axis"] = ir.AttrInt64("axis", -1)
            for out in node.outputs:
                out.shape = ir.Shape(["batch", "sequence", *dims(out)[1:]])
        return ir.passes.PassResult(model, True)


def _flattens(node: ir.Node) -> bool:
    """Tell whether a Reshape merges batch and sequence, and nothing else."""
    if node.op_type != "Reshape":
        return False
    before, after = dims(node.inputs[0]), dims(node.outputs[0])
    if len(before) != 3 or len(after) != 2 or before[:2] != ["batch", "sequence"]:
        return False
    return after[1] == before[2] and not isinstance(after[0], int) and after[0] not in before


def _row_wise(node: ir.Node, flat: set[ir.Value]) -> bool:
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type in _UNARY:
        return True
    if node.op_type in _BINARY:
        return all(x in flat or _is_row(x) for x in node.inputs)
    first, weight = node.inputs[0], constant(node.inputs[1])
    if first not in flat or weight is None:
        return False
    if node.op_type in _NORMS:
        return node.attributes.get_int("axis", -1) in (-1, 1) and len(node.outputs) == 1
    return node.op_type == "MatMul" and weight.ndim == 2


def _is_row(value: ir.Value | None) -> bool:
    array = constant(value)
    return array is not None and (array.ndim <= 1 or array.shape[:-1] == (1,))


def _target(node: ir.Node) -> list[int] | None:
    """Return the target of the Reshape behind flattened tokens, for an unflattened input."""
    observed = [concrete_shape(node.outputs[0], b) for b in BINDINGS]
    if None in observed or dims(node.outputs[0])[:2] != ["batch", "sequence"]:
        return None
    inputs = [(b["batch"], b["sequence"]) for b in BINDINGS]
    return reshape_target([o for o in observed if o is not None], list(inputs))
