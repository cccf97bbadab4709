"""Lower linear layers: constant int8 weights, unsigned inputs, one rescale at the end.

    narrow   step[n] = scale_y[n] / divisor[n]                    y = (acc + bias) / divisor
    wide     step[n] = mul[n] * unit,            mul integer      y = acc * mul + bias

The weight step is free to choose, so it is chosen such that the rescale is exact: an odd divisor
or an integer multiplier, never a rounded quotient. What that costs in step size is below
1/divisor or 1/mul, and both are in the hundreds. Where divisors must be powers of two instead, the
better of the two nearest ones is chosen by what the rounding of the weights then costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.dyadic import Dyadic
from intcc.ops import linear_dynamic
from intcc.ops.linear import pair_reach
from intcc.ops.operator import Attribute
from intcc.passes.lowering.context import Lowering, Producer
from intcc.passes.lowering.divisors import SMALLEST_DIVISOR
from intcc.passes.quantize_weights import (
    Metric,
    best_of,
    best_step,
    compensate,
    round_to_nearest,
    shrink,
)
from intcc.qparams import QParams, Role
from intcc.sites import LinearSite

__all__ = ["LinearProducer", "lower_matmul"]

Float = npt.NDArray[np.float64]


class LinearProducer(Producer):
    """Forms of x @ W + b.

    Attributes:
        kind: the operator; "Wide" behind it names the one onto the int32 grid.
        attributes: of the operator.
    """

    kind = "Linear"
    attributes: Mapping[str, Attribute] = MappingProxyType({})

    def __init__(self, ctx: Lowering, site: LinearSite, label: str) -> None:
        """Take the input's scale and zero per channel, as the consumers' form tells."""
        super().__init__(ctx, site.output, label)
        self.site = site
        form: QParams = site.x.meta["forms"][Role.LINEAR]
        self.x_scale, self.x_zero = site.spread(form.scale), site.spread(form.zero)

    @property
    def weight(self) -> Float:
        """The weights in steps of the input's scale, made anew."""
        weight = self.site.weight
        weight *= self.x_scale
        return weight

    @property
    def dynamic(self) -> bool:
        """Whether the input is quantized per token; one that is made in 8 bits stays static."""
        return self.ctx.dynamic and not self.ctx.producers[str(self.site.x.name)].made_in_8_bits

    def native_roles(self) -> tuple[Role, ...]:
        """Return the roles whose scale leaves room for an odd divisor."""
        if self.ctx.demands[str(self.value.name)].wide or self.dynamic:
            return ()
        forms: dict[Role, QParams] = self.value.meta.get("forms", {})
        return tuple(role for role, form in forms.items() if self.divides(form))

    def divides(self, form: QParams) -> bool:
        """Tell whether the scale of a form leaves room for odd divisors."""
        return not self.dynamic and bool((self._ratio(form) >= SMALLEST_DIVISOR).all())

    def _ratio(self, form: QParams) -> Float:
        return np.asarray(form.scale / self._free_step())

    def _divisor(self, form: QParams) -> npt.NDArray[np.int64]:
        """Return the divisor per channel with which the weights err least."""
        choices = self.ctx.divisors.near(self._ratio(form))
        if len(choices) == 1:
            return choices[0]
        steps = np.stack([form.scale / d for d in choices])
        found = best_of(self.weight, steps, self._importance(), self._pair_limit())
        return np.asarray(np.stack(choices)[found, np.arange(len(found))])

    def _importance(self) -> Float:
        """Mean square of each input, in steps of its scale."""
        record = self.ctx.statistics.get(str(self.site.x.name))
        diagonal = None if record is None else record.mean_squares
        if diagonal is None:
            return np.ones(len(self.x_scale))
        return np.asarray(diagonal / np.square(self.x_scale[:, 0]))

    def _metric(self) -> Metric | None:
        """Metric of the inputs' errors; the layers that read one value share it."""
        name = str(self.site.x.name)
        record = self.ctx.statistics.get(name)
        if self.ctx.metric is not None and self.ctx.metric[0] == name:
            return self.ctx.metric[1]
        moment = None if record is None else record.moment
        if record is None or moment is None:
            return None
        scale = self.x_scale[:, 0]
        size = np.outer(scale, scale)
        probed = None if record.probed_second is None else record.probed_second.mean / size
        self.ctx.metric = name, Metric.of(shrink(moment / size, record.count, probed))
        return self.ctx.metric[1]

    def _pair_limit(self) -> int:
        if self.dynamic:
            return 2 * 127  # every pair: LinearDynamicFull takes the weights as they are
        x = self.ctx.narrow(self.site.x, Role.LINEAR)
        return 32767 // max(self.ctx.intervals[str(x.name)].max, 1)

    def _free_step(self) -> Float:
        """Best weight step per channel, before it is tied to the output's grid."""
        if self.site.ternary and self.dynamic:
            # Codes -1, 0 and 1: nothing of the weights is lost.
            return np.asarray(np.maximum(np.abs(self.weight).max(0), 1e-30))
        if not hasattr(self, "_step"):
            self._step = best_step(self.weight, self._importance(), self._pair_limit())
        return self._step

    def _round(self, step: Float) -> npt.NDArray[np.int8]:
        exact = self.site.ternary and self.dynamic
        metric = self._metric() if self.ctx.compensation and not exact else None
        if metric is None:
            return round_to_nearest(self.weight, step, self._pair_limit())
        return compensate(self.weight, step, metric, self._pair_limit())

    def _weight_value(self, q: npt.NDArray[np.int8]) -> ir.Value:
        return self.ctx.const(q, f"{self.value.name}.weight")

    def make_narrow(self, role: Role) -> ir.Value:
        """Emit the layer in the form that its own value has for `role`."""
        return self.narrow_as(self.value, role, self.form(role))

    def narrow_as(self, value: ir.Value, role: Role, form: QParams) -> ir.Value:
        """Emit the layer with a divisor per channel, saturated to the limits of `form`.

        Args:
            value: what is made: the layer's result, or an activation of it that saturation is.
            role: for its name.
            form: its form.
        """
        ctx = self.ctx
        divisor = self._divisor(form)
        step = form.scale / divisor
        q = self._round(step)
        real = (self.site.bias + self._drift(q, step)) / step - self._offset(q)
        bias = _held(np.rint(real) + form.zero * divisor + divisor // 2, divisor, q)
        inputs = [
            *self._operands(q),
            ctx.i32(bias, f"{self.value.name}.bias", share=False),
            ctx.i32(divisor, f"{self.value.name}.divisor"),
            ctx.scalar(form.lo),
            ctx.scalar(form.hi),
        ]
        return ctx.emit(
            self.kind,
            inputs,
            ir.DataType.UINT8,
            value,
            scale=form,
            suffix=f".{role}",
            attributes=self.attributes,
        )

    def _operands(self, q: npt.NDArray[np.int8]) -> list[ir.Value]:
        """Return the activations and the weights as the operator takes them."""
        return [self.ctx.narrow(self.site.x, Role.LINEAR), self._weight_value(q)]

    def _drift(self, q: npt.NDArray[np.int8], step: Float) -> Float | float:
        """Return what the rounding of weights takes from the mean result, where nothing else does.

        Compensation leaves little of it to layers; onto the grid it is measured afterwards.
        """
        return 0.0

    def _offset(self, q: npt.NDArray[np.int8]) -> Float:
        """Return what the zero point of the activations adds to the operator's sums."""
        return np.asarray(self.x_zero[:, 0] @ q.astype(np.float64))

    def _make_dynamic(self) -> ir.Value:
        """Emit LinearDynamic on the input's per-token form, or its kin for weights of 8 bits."""
        ctx = self.ctx
        row, form = ctx.dynamic_form(self.site.x)
        # The channel factors of the form are relative: the token's own scale does the rest.
        self.x_scale = self.site.spread(form.scale)
        step = self._free_step()
        to_real = float(self.site.x.meta["unit"]) / (127 * self.unit)
        terms = len(self.weight)
        short = None
        if not self.site.ternary:  # whose steps are the model's own
            short = linear_dynamic.short_parameters(step * to_real, terms)
        if short is not None:
            mul, shift = short
            q = self._round(mul * 0.5 ** int(shift) / to_real)
        else:
            q = self._round(step)
            mul, shift = linear_dynamic.parameters(step * to_real, q)
        inputs = [
            *row,
            self._weight_value(q),
            ctx.const(mul, f"{self.value.name}.mul"),
            ctx.const(shift),
            ctx.i32(self.site.bias / self.unit, f"{self.value.name}.bias", share=False),
        ]
        safe = pair_reach(255, q) <= 32767
        kind = "LinearDynamic" if safe else "LinearDynamicFull"
        return ctx.emit(kind, inputs, ir.DataType.INT32, self.value, scale=self.unit)

    def make_wide(self) -> ir.Value:
        """Emit LinearWide with an integer multiplier per channel."""
        if self.dynamic:
            return self._make_dynamic()
        ctx = self.ctx
        mul = np.maximum(np.ceil(self._free_step() / self.unit), 1)
        q = self._round(mul * self.unit)
        bias = np.rint(self.site.bias / self.unit) - mul * self._offset(q)
        inputs = [
            *self._operands(q),
            ctx.i32(mul, f"{self.value.name}.mul"),
            ctx.i32(bias, f"{self.value.name}.bias", share=False),
        ]
        return ctx.emit(
            f"{self.kind}Wide",
            inputs,
            ir.DataType.INT32,
            self.value,
            scale=self.unit,
            attributes=self.attributes,
        )


def _held(bias: Float, divisor: npt.NDArray[np.int64], q: npt.NDArray[np.int8]) -> Float:
    """Return biases whose sums fit int32, where sums without them saturate at the same end.

    A channel that never leaves an end, as a pruned one behind a ReLU, has a scale next to nothing
    and a bias of any size in it.
    """
    reach = 255 * np.abs(q.astype(np.int64)).sum(0)
    most = 2**31 - 1 - reach
    return np.where(most - reach > 256 * divisor, np.clip(bias, -most, most), bias)


class ProductProducer(Producer):
    """Wide form of an activation product a @ b."""

    def __init__(self, ctx: Lowering, node: ir.Node, label: str) -> None:
        """Remember the node."""
        super().__init__(ctx, node.outputs[0], label)
        self.node = node

    def make_wide(self) -> ir.Value:
        """Emit BatchMatMul, then bring its accumulator to the grid."""
        ctx = self.ctx
        a, b = self.node.inputs
        assert a is not None and b is not None
        left: QParams = a.meta["forms"][Role.QUERY]
        right: QParams = b.meta["forms"][Role.KEY]
        zero = ctx.const(np.asarray(left.zero, np.uint8))
        acc = ctx.emit(
            "BatchMatMul",
            [ctx.narrow(a, Role.QUERY), zero, ctx.narrow(b, Role.KEY)],
            ir.DataType.INT32,
            self.value,
            suffix=".acc",
        )
        return rescale(ctx, acc, float(left.scale * right.scale), self.value)


def rescale(ctx: Lowering, x: ir.Value, unit: float, like: ir.Value) -> ir.Value:
    """Bring an int32 value of real step `unit` to the grid of `like`."""
    target = float(like.meta["unit"])
    ratio = unit / target
    if ratio == 1.0:
        return x
    if ratio >= 1 and ratio == round(ratio):
        inputs = [x, ctx.channels(ratio), ctx.channels(0)]
        return ctx.emit("Affine", inputs, ir.DataType.INT32, like, scale=target)
    scale = Dyadic.from_real(ratio)
    inputs = [
        x,
        ctx.const(np.asarray(scale.mul, np.int64)),
        ctx.const(np.asarray(scale.shift, np.int64)),
        ctx.scalar(-(2**31) + 1),
        ctx.scalar(2**31 - 1),
    ]
    return ctx.emit("Rescale", inputs, ir.DataType.INT32, like, scale=target)


def lower_matmul(ctx: Lowering, node: ir.Node, label: str) -> None:
    """Register the producer of a MatMul; one with a fused bias is registered at its Add."""
    name = str(node.outputs[0].name)
    for site in ctx.sites.values():
        if site.node is node:
            ctx.producers[str(site.output.name)] = LinearProducer(ctx, site, label)
            return
    ctx.producers[name] = ProductProducer(ctx, node, label)
