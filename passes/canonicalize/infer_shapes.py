"""Infer shapes: onnx's own inference, with the model's weights left out of the copy it makes.

Dimensions that the inference names itself ("unk__0") mean nothing and are dropped.

Order      before each round of fold_constants and resolve_shapes.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

__all__ = ["InferShapes"]


class InferShapes(ir.passes.InPlacePass):
    """Fill in types and shapes."""

    def __init__(self) -> None:
        """Keep one instance of onnx_ir's pass."""
        super().__init__()
        self._inference = common.ShapeInferencePass(check_type=False, data_prop=True)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Infer, then drop the names that inference made up."""
        result = self._inference(model)
        for node in model.graph:
            for out in node.outputs:
                if out.shape is None or out.is_graph_output():
                    continue
                for axis, dim in enumerate(out.shape):
                    if isinstance(dim, ir.SymbolicDim) and str(dim.value).startswith("unk__"):
                        out.shape[axis] = None
        return ir.passes.PassResult(model, result.modified)
