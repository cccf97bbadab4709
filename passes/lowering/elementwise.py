"""Lower elementwise operators on the wide grid."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from intcc.dyadic import Dyadic
from intcc.errors import UnsupportedOperatorError
from intcc.passes.assign_units import FIXED_UNITS
from intcc.passes.lowering.context import Lowering, Producer
from intcc.passes.lowering.linear import LinearProducer, rescale
from intcc.passes.lowering.products import ProductProducer, SiluProducer
from intcc.qparams import QParams, Role
from intcc.sites import activation_of, constant, gate_of

__all__ = ["lower_elementwise", "lower_gate"]

#: Real exponent e^-x is 2^-(x log2 e); gates take it in Q12.
_EXPONENT = math.log2(math.e) * 2.0**12


class _Wide(Producer):
    """A node whose only form is wide."""

    def __init__(self, ctx: Lowering, node: ir.Node, label: str) -> None:
        super().__init__(ctx, node.outputs[0], label)
        self.node = node

    def on_grid(self, value: ir.Value, sign: int = 1) -> ir.Value:
        """Return an input times 1 or -1 on this value's grid."""
        if constant(value) is not None:
            array = sign * np.asarray(constant(value), np.float64)
            return self.ctx.i32(array / self.unit, f"{self.value.name}.const")
        wide = rescale(self.ctx, self.ctx.wide(value), float(value.meta["unit"]), self.value)
        if sign == 1:
            return wide
        minus = [wide, self.ctx.channels(-1), self.ctx.channels(0)]
        return self.ctx.emit("Affine", minus, ir.DataType.INT32, value)


class _AddProducer(_Wide):
    def make_wide(self) -> ir.Value:
        a, b = self.node.inputs
        assert a is not None and b is not None
        left = self.on_grid(a)
        right = self.on_grid(b, -1 if self.node.op_type == "Sub" else 1)
        kind = "SaturatingAdd" if self.ctx.dynamic or self.ctx.decoder else "Add"
        return self.ctx.emit(kind, [left, right], ir.DataType.INT32, self.value, scale=self.unit)


class _ScaleProducer(_Wide):
    """Mul or Div by a constant along the last axis."""

    def make_wide(self) -> ir.Value:
        a, b = self.node.inputs
        assert a is not None and b is not None
        factor, x = (constant(b), a) if constant(b) is not None else (constant(a), b)
        if factor is None or factor.size not in (1, factor.shape[-1] if factor.ndim else 1):
            raise UnsupportedOperatorError(
                f"{self.node.op_type} {self.node.name!r}",
                "has a constant factor that is no vector",
                "Only constant factors along the last axis have an integer rule",
            )
        flat = factor.astype(np.float64).reshape(-1)
        real = flat if self.node.op_type == "Mul" else 1 / flat
        ratio = real * float(x.meta["unit"]) / self.unit
        if (np.abs(ratio) >= 256).all() or (ratio == np.rint(ratio)).all():
            inputs = [self.ctx.wide(x), self.ctx.channels(np.rint(ratio)), self.ctx.channels(0)]
            return self.ctx.emit("Affine", inputs, ir.DataType.INT32, self.value, scale=self.unit)
        exponent = max(0, math.ceil(math.log2(float(np.abs(ratio).max()) + 1e-300)))
        shift = 30 - exponent
        inputs = [
            self.ctx.wide(x),
            self.ctx.const(np.rint(ratio * 2.0**shift).astype(np.int64)),
            self.ctx.const(np.asarray(shift, np.int64)),
            self.ctx.scalar(-(2**31) + 1),
            self.ctx.scalar(2**31 - 1),
        ]
        return self.ctx.emit("Rescale", inputs, ir.DataType.INT32, self.value, scale=self.unit)


class _ActivationProducer(_Wide):
    """Relu and Clip: behind a layer whose only reader they are, the limits of its bytes.

    Rounding to a grid keeps order, so bytes may be clipped where real numbers are to be. That
    needs limits that are a byte, the same in all channels.
    """

    @property
    def limits(self) -> tuple[float, float]:
        """What the result is kept within."""
        if self.node.op_type == "Relu":
            return 0.0, math.inf
        low, high = (constant(v) for v in self.node.inputs[1:3])
        assert low is not None and high is not None
        return float(low), float(high)

    def _layer(self) -> LinearProducer | None:
        x = self.node.inputs[0]
        layer = self.ctx.producers.get(str(x.name)) if x is not None else None
        if self.ctx.demands[str(self.value.name)].wide or not isinstance(layer, LinearProducer):
            return None
        return layer if activation_of(layer.site) is self.node else None

    def _clipped(self, role: Role) -> QParams | None:
        """Return the form with the limits as its ends, None where no byte is a limit."""
        form, ends = self.form(role), []
        for limit, end in zip(self.limits, (form.lo, form.hi), strict=True):
            stored = form.zero + limit / form.scale
            if (stored <= form.lo).all() if end == form.lo else (stored >= form.hi - 1e-6).all():
                ends.append(end)
            elif (np.abs(stored - np.rint(stored.flat[0])) < 1e-6).all():
                ends.append(int(np.rint(stored.flat[0])))
        return QParams(form.scale, form.zero, *ends) if len(ends) == 2 else None

    def native_roles(self) -> tuple[Role, ...]:
        layer = self._layer()
        if layer is None:
            return ()
        forms: dict[Role, QParams] = self.value.meta.get("forms", {})
        return tuple(r for r, f in forms.items() if layer.divides(f) and self._clipped(r))

    def make_narrow(self, role: Role) -> ir.Value:
        layer, form = self._layer(), self._clipped(role)
        assert layer is not None and form is not None
        return layer.narrow_as(self.value, role, form)

    def make_wide(self) -> ir.Value:
        x = self.node.inputs[0]
        assert x is not None
        inputs = [self.on_grid(x)]
        if self.node.op_type == "Clip":
            most = 2.0**31 - 1
            inputs += [
                self.ctx.scalar(int(np.clip(np.rint(limit / self.unit), -most, most)))
                for limit in self.limits
            ]
        return self.ctx.emit(
            self.node.op_type, inputs, ir.DataType.INT32, self.value, scale=self.unit
        )


class _GateProducer(_Wide):
    """Sigmoid and tanh: fixed-grid result, scale of the input in a dyadic constant."""

    def make_wide(self) -> ir.Value:
        x = self.node.inputs[0]
        assert x is not None
        factor = 2.0 if self.node.op_type == "Tanh" else 1.0
        scale = Dyadic.from_real(float(x.meta["unit"]) * _EXPONENT * factor)
        inputs = [
            self.ctx.wide(x),
            self.ctx.const(np.asarray(scale.mul, np.int64)),
            self.ctx.const(np.asarray(scale.shift, np.int64)),
        ]
        kind = self.node.op_type
        unit = FIXED_UNITS[kind]
        return self.ctx.emit(kind, inputs, ir.DataType.INT32, self.value, scale=unit)


_RULES = {
    "Add": _AddProducer,
    "Sub": _AddProducer,
    "Mul": _ScaleProducer,
    "Div": _ScaleProducer,
    "Relu": _ActivationProducer,
    "Clip": _ActivationProducer,
    "Sigmoid": _GateProducer,
    "Tanh": _GateProducer,
    "Softmax": _GateProducer,
}


def lower_elementwise(ctx: Lowering, node: ir.Node, label: str) -> None:
    """Register the producer of an elementwise node; a bias belongs to its linear layer."""
    name = str(node.outputs[0].name)
    if name in ctx.sites and ctx.sites[name].bias_node is node:
        return
    if node.op_type == "Mul" and all(constant(v) is None for v in node.inputs):
        kind = ProductProducer if gate_of(node) is None else SiluProducer
        ctx.producers[name] = kind(ctx, node, label)
        return
    ctx.producers[name] = _RULES[node.op_type](ctx, node, label)


lower_gate = lower_elementwise
