"""MeanPool and L2Normalize: the model-local float functions of the canonical grammar.

    MeanPool(x [B,S,C], mask [B,S])  = sum_s(x * mask) / max(sum_s(mask), 1e-9)
    L2Normalize(x [B,C])             = x / max(|x|, 1e-12)

Both mean what sentence-transformers and torch.nn.functional.normalize compute.
"""

from __future__ import annotations

import onnx_ir as ir
from onnxscript import FLOAT, INT64, opset23, script, values

__all__ = ["DOMAIN", "AddFloatFunctions"]

DOMAIN = values.Opset("ai.intcc.float", 1)
op = opset23


@script(DOMAIN, default_opset=op)
def MeanPool(x: FLOAT, mask: INT64) -> FLOAT:  # noqa: N802
    """Mean over the unmasked positions."""
    weight = op.Unsqueeze(op.Cast(mask, to=1), op.Constant(value_ints=[-1]))
    axis = op.Constant(value_ints=[1])
    total = op.ReduceSum(op.Mul(x, weight), axis, keepdims=0)
    count = op.ReduceSum(weight, axis, keepdims=0)
    return op.Div(total, op.Max(count, op.Constant(value_float=1e-9)))


@script(DOMAIN, default_opset=op)
def L2Normalize(x: FLOAT) -> FLOAT:  # noqa: N802
    """Scale each row to length one."""
    norm = op.ReduceL2(x, op.Constant(value_ints=[-1]), keepdims=1)
    return op.Div(x, op.Max(norm, op.Constant(value_float=1e-12)))


class AddFloatFunctions(ir.passes.InPlacePass):
    """Define in the model those of our functions that its nodes call."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Add what is missing."""
        used = {node.op_type for node in model.graph if node.domain == DOMAIN.domain}
        for function in (MeanPool, L2Normalize):
            if function.name in used:
                made = ir.serde.deserialize_function(function.to_function_proto())
                model.functions[made.identifier()] = made
                model.opset_imports[DOMAIN.domain] = DOMAIN.version
        return ir.passes.PassResult(model, bool(used))
