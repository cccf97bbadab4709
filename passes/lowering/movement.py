"""Lower data movement: the same node over integers, on whatever form its consumers need."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.lowering.context import Lowering, Producer
from intcc.passes.lowering.linear import rescale
from intcc.qparams import Role
from intcc.sites import constant

__all__ = ["InputProducer", "MovementProducer", "lower_movement"]


class InputProducer(Producer):
    """A float input of the model, which becomes an unsigned 8-bit input."""

    made_in_8_bits = True

    def __init__(self, ctx: Lowering, value: ir.Value, integer: ir.Value) -> None:
        """Remember the integer input that stands for `value`."""
        super().__init__(ctx, value, "input")
        self.integer = integer

    def native_roles(self) -> tuple[Role, ...]:
        """Return LINEAR."""
        return (Role.LINEAR,)

    def make_narrow(self, role: Role) -> ir.Value:
        """Return the input."""
        return self.integer


class MovementProducer(Producer):
    """Moved elements; unsigned where the chain starts at an unsigned input, wide elsewhere."""

    def __init__(self, ctx: Lowering, node: ir.Node, index: int, label: str) -> None:
        """Remember the node and which of its outputs this is."""
        super().__init__(ctx, node.outputs[index], label)
        self.node, self.index = node, index

    def _origin(self) -> Producer | None:
        x = self.node.inputs[0]
        assert x is not None
        producer = self.ctx.producers.get(str(x.name))
        if isinstance(producer, MovementProducer):
            return producer if producer._origin() is not None else None
        return producer if isinstance(producer, InputProducer) else None

    def native_roles(self) -> tuple[Role, ...]:
        """Return what an unsigned origin offers."""
        origin = self._origin()
        return origin.native_roles() if origin is not None else ()

    @property
    def made_in_8_bits(self) -> bool:  # type: ignore[override]
        """Whether the chain starts at an unsigned input."""
        return self._origin() is not None

    def make_narrow(self, role: Role) -> ir.Value:
        """Move the unsigned form."""
        x = self.node.inputs[0]
        assert x is not None
        others = [self.ctx.integer(v) for v in self.node.inputs[1:] if v is not None]
        moved = self.ctx.move(self.node, [self.ctx.narrow(x, role), *others], ir.DataType.UINT8)
        return moved[self.index]

    def make_wide(self) -> ir.Value:
        """Move the int32 form, every input brought to one grid."""
        ctx, node = self.ctx, self.node
        moved: list[ir.Value] | None = ctx.moved.get(node)
        if moved is None:
            inputs = []
            for value in node.inputs:
                assert value is not None
                if value.dtype != ir.DataType.FLOAT:
                    inputs.append(ctx.integer(value))
                elif constant(value) is not None:
                    array = np.asarray(constant(value), np.float64)
                    inputs.append(ctx.i32(array / self.unit, f"{value.name}.q"))
                else:
                    x = ctx.wide(value)
                    inputs.append(rescale(ctx, x, float(value.meta["unit"]), self.value))
            moved = ctx.move(node, inputs, ir.DataType.INT32)
            for made, value in zip(moved, node.outputs, strict=True):
                made.meta["scale"] = self.unit
                made.metadata_props["intcc.float"] = str(value.name)
            ctx.moved[node] = moved
        return moved[self.index]


def lower_movement(ctx: Lowering, node: ir.Node, label: str) -> None:
    """Register producers for every output."""
    for index, value in enumerate(node.outputs):
        ctx.producers[str(value.name)] = MovementProducer(ctx, node, index, label)
