"""Lower the sentence heads: masked mean and division by the Euclidean norm."""

from __future__ import annotations

import onnx_ir as ir

from intcc.ops import l2_normalize
from intcc.passes.assign_units import FIXED_UNITS
from intcc.passes.lowering.context import Lowering, Producer
from intcc.passes.lowering.linear import rescale

__all__ = ["lower_pooling"]


class _PoolProducer(Producer):
    """Wide form of a pooled or normalised value."""

    def __init__(self, ctx: Lowering, node: ir.Node, label: str) -> None:
        super().__init__(ctx, node.outputs[0], label)
        self.node = node

    def make_wide(self) -> ir.Value:
        ctx, x = self.ctx, self.node.inputs[0]
        assert x is not None
        if self.node.op_type == "L2Normalize":
            unit = FIXED_UNITS["L2Normalize"]
            wide = ctx.wide(x)
            constants = l2_normalize.parameters(ctx.extents(wide)[-1])
            inputs = [wide, *(ctx.const(c, "L2Normalize.const") for c in constants)]
            return ctx.emit("L2Normalize", inputs, ir.DataType.INT32, self.value, scale=unit)
        mask = self.node.inputs[1]
        assert mask is not None
        pooled = rescale(ctx, ctx.wide(x), float(x.meta["unit"]), self.value)
        inputs = [pooled, ctx.integer(mask)]
        return ctx.emit("MeanPool", inputs, ir.DataType.INT32, self.value, scale=self.unit)


def lower_pooling(ctx: Lowering, node: ir.Node, label: str) -> None:
    """Register the producer of MeanPool or L2Normalize."""
    ctx.producers[str(node.outputs[0].name)] = _PoolProducer(ctx, node, label)
