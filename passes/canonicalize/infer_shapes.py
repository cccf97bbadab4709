"""Infer shapes: onnx's own inference, then what it cannot know.

onnx_ir leaves the model's weights out of the copy that is inferred. Dimensions that the inference
names itself ("unk__0") mean nothing and are dropped. A value that is made by an Expand to
computed extents, and any value that needs no data, gets its dimensions by observation: it is
computed for several batches and lengths.

Order      before each round of fold_constants and resolve_shapes.
"""

from __future__ import annotations

import logging

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from intcc.passes.canonicalize.evaluate import (
    BINDINGS,
    NotEvaluableError,
    concrete_shape,
    evaluate,
    fit_dims,
    shape_only,
)
from intcc.passes.canonicalize.float_functions import FLOAT_DOMAIN
from intcc.passes.canonicalize.geometry import windows_made
from intcc.passes.canonicalize.graph import as_shape, dims

__all__ = ["InferShapes"]


class InferShapes(ir.passes.InPlacePass):
    """Fill in types and shapes."""

    def __init__(self) -> None:
        """Keep one instance of onnx_ir's pass."""
        super().__init__()
        self._inference = common.ShapeInferencePass(check_type=False, data_prop=True)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Infer and observe in turn, until observation adds nothing."""
        before = _knowledge(model.graph)
        while True:
            self._infer(model)
            inferred = _knowledge(model.graph)
            self._observe(model.graph)
            if _knowledge(model.graph) == inferred:
                return ir.passes.PassResult(model, inferred != before)

    def _infer(self, model: ir.Model) -> None:
        """Run onnx's inference, and drop the names that it made up."""
        log = logging.getLogger("onnx_ir.passes.common.shape_inference")
        level = log.level
        log.setLevel(logging.ERROR)  # what stays unknown is reported by check_grammar
        try:
            self._inference(model)
        finally:
            log.setLevel(level)
        for node in model.graph:
            for out in node.outputs:
                extents = dims(out)
                named = [None if str(dim).startswith("unk__") else dim for dim in extents]
                if named != extents:
                    out.shape = ir.Shape(named)

    @staticmethod
    def _observe(graph: ir.Graph) -> None:
        memo: dict[ir.Value, bool] = {}
        for node in graph:
            for out in node.outputs:
                if out.shape is not None and None not in dims(out):
                    continue
                given = dims(node.inputs[0]) if node.inputs else []
                if node.domain == FLOAT_DOMAIN and given:
                    out.shape = as_shape(_function_extents(node, given))
                    out.type = ir.TensorType(ir.DataType.FLOAT)
                    continue
                try:
                    if node.op_type == "Expand":
                        observed = [_expanded(node, binding) for binding in BINDINGS]
                    elif shape_only(out, memo):
                        observed = [evaluate(out, binding).shape for binding in BINDINGS]
                    else:
                        continue
                    out.shape = as_shape(fit_dims(observed))
                except (NotEvaluableError, ValueError):
                    continue


def _function_extents(node: ir.Node, given: list[int | str | None]) -> list[int | str | None]:
    """Extents of the result of one of our float functions, from those of its first input."""
    if node.op_type == "CausalAttention":
        return [*given[:3], *dims(node.inputs[2])[3:]]
    if node.op_type in ("Conv", "MaxPool"):
        channels = dims(node.inputs[1])[0] if node.op_type == "Conv" else given[3]
        return [given[0], *windows_made(node), channels]
    return [given[0], given[2]] if node.op_type == "MeanPool" else given


def _knowledge(graph: ir.Graph) -> tuple[int, int]:
    """Count the values with a shape and the known dimensions."""
    shapes = [dims(out) for node in graph for out in node.outputs if out.shape is not None]
    return len(shapes), sum(d is not None for shape in shapes for d in shape)


def _expanded(node: ir.Node, binding: dict[str, int]) -> tuple[int, ...]:
    """Extents of Expand(x, shape): its operands broadcast together."""
    x, shape = node.inputs
    assert x is not None and shape is not None
    extents = concrete_shape(x, binding)
    if extents is None:
        raise NotEvaluableError(f"shape of {x.name}")
    target = tuple(int(v) for v in evaluate(shape, binding))
    return np.broadcast_shapes(extents, target)
