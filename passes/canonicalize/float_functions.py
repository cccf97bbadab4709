"""MeanPool and L2Normalize: the model-local float functions of the canonical grammar.

    MeanPool(x [B,S,C], mask [B,S])  = sum_s(x * mask) / max(sum_s(mask), 1e-9)
    L2Normalize(x [B,C])             = x / max(|x|, 1e-12)

Both mean what sentence-transformers and torch.nn.functional.normalize compute.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

__all__ = ["FLOAT_DOMAIN", "AddFloatFunctions"]

FLOAT_DOMAIN = "ai.intcc.float"

_MEAN_POOL = """
<domain: "ai.intcc.float", opset_import: ["" : 23]>
MeanPool (x, mask) => (mean)
{
    last = Constant <value_ints = [-1]> ()
    tokens = Constant <value_ints = [1]> ()
    least = Constant <value_float = 1e-9> ()
    number = CastLike (mask, x)
    weight = Unsqueeze (number, last)
    weighted = Mul (x, weight)
    total = ReduceSum <keepdims = 0> (weighted, tokens)
    sum = ReduceSum <keepdims = 0> (weight, tokens)
    count = Max (sum, least)
    mean = Div (total, count)
}
"""
_L2_NORMALIZE = """
<domain: "ai.intcc.float", opset_import: ["" : 23]>
L2Normalize (x) => (unit)
{
    last = Constant <value_ints = [-1]> ()
    least = Constant <value_float = 1e-12> ()
    length = ReduceL2 <keepdims = 1> (x, last)
    divisor = Max (length, least)
    unit = Div (x, divisor)
}
"""


class AddFloatFunctions(ir.passes.InPlacePass):
    """Define in the model those of our functions that its nodes call."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Add what is missing."""
        used = {node.op_type for node in model.graph if node.domain == FLOAT_DOMAIN}
        for text in (_MEAN_POOL, _L2_NORMALIZE):
            function = ir.serde.deserialize_function(onnx.parser.parse_function(text))
            if function.name in used:
                model.functions[function.identifier()] = function
        if not used:
            model.opset_imports.pop(FLOAT_DOMAIN, None)
        return ir.passes.PassResult(model, bool(used))
