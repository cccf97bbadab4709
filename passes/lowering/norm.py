"""Lower LayerNorm and RMSNorm: one normalised row, then an affine map per form.

X       = normalise(x) in Q11                    one LayerNorm or RMSNorm node
narrow  = (X * mul + bias) / 2**k, saturated     mul ~ gain / scale, Quantize
wide    = X * mul + bias                         mul ~ gain / unit, Affine
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from intcc.errors import UnsupportedOperatorError
from intcc.ops import layer_norm, rms_norm
from intcc.passes.lowering.context import Lowering, Producer
from intcc.qparams import Role
from intcc.sites import constant

__all__ = ["NormProducer", "lower_norm"]

FRACTION = 2.0**11
LARGEST_SHIFT = 18


class NormProducer(Producer):
    """Forms of a normalised, scaled and shifted value."""

    def __init__(self, ctx: Lowering, node: ir.Node, label: str) -> None:
        """Read gain and bias."""
        super().__init__(ctx, node.outputs[0], label)
        self.node = node
        gain = constant(node.inputs[1])
        assert gain is not None
        self.gain = gain.astype(np.float64).reshape(-1)
        bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
        self.bias = np.zeros_like(self.gain) if bias is None else bias.astype(np.float64)
        self._normalised: ir.Value | None = None

    def native_roles(self) -> tuple[Role, ...]:
        """Return every role."""
        return tuple(Role)

    def normalised(self) -> ir.Value:
        """Emit the norm once."""
        if self._normalised is None:
            ctx, x = self.ctx, self.node.inputs[0]
            assert x is not None
            wide = ctx.wide(x)
            kind = {"LayerNormalization": "LayerNorm", "RMSNormalization": "RMSNorm"}[
                self.node.op_type
            ]
            module = layer_norm if kind == "LayerNorm" else rms_norm
            epsilon = self.node.attributes.get_float("epsilon", 1e-5)
            constants = module.parameters(len(self.gain), epsilon, float(x.meta["unit"]))
            self._normalised = ctx.emit(
                kind,
                [wide, *(ctx.const(c, f"{kind}.const") for c in constants)],
                ir.DataType.INT32,
                self.value,
                scale=1 / FRACTION,
                suffix=".norm",
            )
        return self._normalised

    def make_narrow(self, role: Role) -> ir.Value:
        """Emit Quantize with the largest power of two that int32 allows."""
        ctx, form = self.ctx, self.form(role)
        x = self.normalised()
        bound = ctx.intervals[str(x.name)].magnitude
        gain, shift = self.gain / form.scale / FRACTION, self.bias / form.scale + form.zero
        worst = float((bound * np.abs(gain) + np.abs(shift) + 1).max())
        k = min(LARGEST_SHIFT, math.floor(math.log2((2.0**31 - 1) * 0.99 / worst)))
        inputs = [
            x,
            ctx.channels(np.rint(gain * 2.0**k)),
            ctx.channels(np.rint((shift + 0.5) * 2.0**k)),
            ctx.channels(2**k),
            ctx.scalar(form.lo),
            ctx.scalar(form.hi),
        ]
        return ctx.emit(
            "Quantize", inputs, ir.DataType.UINT8, self.value, scale=form, suffix=f".{role}"
        )

    def make_wide(self) -> ir.Value:
        """Emit Affine on the value's grid."""
        ctx = self.ctx
        inputs = [
            self.normalised(),
            ctx.channels(np.rint(self.gain / FRACTION / self.unit)),
            ctx.channels(np.rint(self.bias / self.unit)),
        ]
        return ctx.emit("Affine", inputs, ir.DataType.INT32, self.value, scale=self.unit)


def lower_norm(ctx: Lowering, node: ir.Node, label: str) -> None:
    """Register the producer of a norm over the last axis.

    Raises:
        UnsupportedOperatorError: another axis, or gain that is no constant.
    """
    rank = len(node.inputs[0].shape) if node.inputs[0] is not None and node.inputs[0].shape else 0
    axis = node.attributes.get_int("axis", -1)
    if axis not in (-1, rank - 1) or constant(node.inputs[1]) is None:
        raise UnsupportedOperatorError(
            f"{node.op_type} {node.name!r}",
            f"normalises axis {axis} of rank {rank} or has a computed gain",
            "Only the last axis with constant gain has an integer rule",
        )
    ctx.producers[str(node.outputs[0].name)] = NormProducer(ctx, node, label)
