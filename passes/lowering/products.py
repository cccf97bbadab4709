"""Lower products of two computed values and wide GELU: the gates of decoders.

x * sigmoid(x)   Silu, in the unit of x
a * b            Product: a shift between power-of-two grids
gelu(x)          GeluWide, in the unit of x
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from intcc.errors import RangeProofError
from intcc.ops import gelu_wide, silu
from intcc.ops.operator import WIDE
from intcc.passes.lowering.context import Lowering, Producer
from intcc.sites import gate_of

__all__ = ["GeluWideProducer", "ProductProducer", "SiluProducer"]


class _Wide(Producer):
    """A node whose only form is wide."""

    def __init__(self, ctx: Lowering, node: ir.Node, label: str) -> None:
        super().__init__(ctx, node.outputs[0], label)
        self.node = node


class SiluProducer(_Wide):
    """x * sigmoid(x)."""

    def make_wide(self) -> ir.Value:
        """Emit Silu."""
        x = gate_of(self.node)
        assert x is not None
        constants = silu.parameters(float(x.meta["unit"]))
        inputs = [self.ctx.wide(x), *map(self.ctx.const, constants)]
        return self.ctx.emit("Silu", inputs, ir.DataType.INT32, self.value, scale=self.unit)


class ProductProducer(_Wide):
    """a * b of two computed values."""

    def make_wide(self) -> ir.Value:
        """Emit Product."""
        ctx = self.ctx
        a, b = self.node.inputs
        assert a is not None and b is not None
        shift = round(math.log2(self.unit / float(a.meta["unit"]) / float(b.meta["unit"])))
        if not 1 <= shift <= 62:
            raise RangeProofError(
                f"Product {self.value.name!r}",
                f"needs a shift of {shift}, outside 1 to 62",
                "The scales of its factors are out of proportion; report the model to us",
            )
        inputs = [
            ctx.wide(a),
            ctx.wide(b),
            ctx.const(np.asarray(shift, np.int64)),
            ctx.scalar(-WIDE),
            ctx.scalar(WIDE),
        ]
        return ctx.emit("Product", inputs, ir.DataType.INT32, self.value, scale=self.unit)


class GeluWideProducer(_Wide):
    """gelu(x) with more than 8 bits."""

    def make_wide(self) -> ir.Value:
        """Emit GeluWide."""
        ctx, x = self.ctx, self.node.inputs[0]
        assert x is not None
        variant = self.node.attributes.get_string("approximate", "none") or "none"
        constants = gelu_wide.parameters(float(x.meta["unit"]), variant)
        inputs = [ctx.wide(x), *map(ctx.const, constants)]
        return ctx.emit("GeluWide", inputs, ir.DataType.INT32, self.value, scale=self.unit)
