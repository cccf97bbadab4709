"""Lower GELU: unsigned in, unsigned out, the output's step a whole part of the input's."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.ops import gelu
from intcc.passes.lowering.context import Lowering, Producer
from intcc.passes.lowering.products import GeluWideProducer
from intcc.qparams import QParams, Role

__all__ = ["GeluProducer", "lower_gelu"]


class GeluProducer(Producer):
    """Forms of gelu(x)."""

    made_in_8_bits = True

    def __init__(self, ctx: Lowering, node: ir.Node, label: str) -> None:
        """Remember the node."""
        super().__init__(ctx, node.outputs[0], label)
        self.node = node

    def native_roles(self) -> tuple[Role, ...]:
        """Return LINEAR."""
        return (Role.LINEAR,)

    def make_narrow(self, role: Role) -> ir.Value:
        """Emit Gelu with constants from the step of each channel."""
        ctx, x = self.ctx, self.node.inputs[0]
        assert x is not None
        form: QParams = x.meta["forms"][Role.GELU]
        variant = self.node.attributes.get_string("approximate", "none") or "none"
        y = self.form(role)
        factor = np.rint(form.scale / y.scale)
        lift, divisor = gelu.parameters(form.scale, factor, variant)
        inputs = [
            ctx.narrow(x, Role.GELU),
            ctx.channels(form.zero),
            ctx.channels(lift),
            ctx.channels(divisor),
            ctx.channels(factor),
            ctx.channels(y.zero),
        ]
        return ctx.emit("Gelu", inputs, ir.DataType.UINT8, self.value, scale=y)


def lower_gelu(ctx: Lowering, node: ir.Node, label: str) -> None:
    """Register the producer of a Gelu node; where nobody asks for 8 bits it stays wide."""
    x = node.inputs[0]
    if x is not None and Role.GELU not in x.meta.get("forms", {}):
        ctx.producers[str(node.outputs[0].name)] = GeluWideProducer(ctx, node, label)
        return
    ctx.producers[str(node.outputs[0].name)] = GeluProducer(ctx, node, label)
