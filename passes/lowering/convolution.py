"""Lower convolutions and pooling by maxima: windows over unsigned images.

A convolution is a linear layer of windows, and shares its rules for steps, divisors and grids.
What differs:

* outside of the image every byte is the zero point, so there must be one for all channels; an
  image whose normalisation differs by channel is first brought to such a form, by a Linear with
  a diagonal of weights;
* products need no pair bound;
* groups: the scale of an input channel is a row of the weights of its own group alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.passes.lowering.context import Lowering, Producer
from intcc.passes.lowering.divisors import Divisors
from intcc.passes.lowering.linear import LinearProducer
from intcc.passes.quantize_weights import Metric, shrink
from intcc.qparams import QParams, Role
from intcc.sites import ConvSite

__all__ = ["ConvProducer", "lower_convolution", "lower_max_pool", "one_zero"]

Float = npt.NDArray[np.float64]
#: Weights of the diagonal that brings an image to one zero point.
DIAGONAL = range(64, 128)
#: Weights of a filter up to which they are rounded with error compensation: it takes their cube.
LARGEST_METRIC = 2400


class ConvProducer(LinearProducer):
    """Forms of a convolution."""

    kind = "Conv"

    def __init__(self, ctx: Lowering, site: ConvSite, label: str) -> None:
        """Choose the form of the input: its own, or one with a single zero point."""
        super().__init__(ctx, site, label)
        self.conv = site
        names = ("strides", "pads", "dilations")
        self.attributes = {
            **{name: list(site.node.attributes.get_ints(name, [])) for name in names},
            "group": site.group,
        }
        form: QParams = site.x.meta["forms"][Role.LINEAR]
        self._mixed = site.padded and not _one_zero(form)
        if self._mixed:
            form = one_zero(form, ctx.divisors)[0]
            self.x_scale, self.x_zero = site.spread(form.scale), site.spread(form.zero)
        #: The byte outside of the image; without one, the bias holds the channels' zero points.
        self.zero = int(form.zero.reshape(-1)[0]) if _one_zero(form) else 0

    @property
    def dynamic(self) -> bool:
        """Windows overlap, so that no scale belongs to one of them."""
        return False

    def _pair_limit(self) -> int:
        return 2 * 127

    def _importance(self) -> Float:
        """Mean square of each input in steps; of groups none, as their columns differ."""
        record = self.ctx.statistics.get(str(self.site.x.name))
        if record is None or self.conv.group > 1:
            return np.ones(len(self.x_scale))
        squares = self.site.spread(record.squares / max(record.count, 1))
        return np.asarray((squares / np.square(self.x_scale))[:, 0])

    def _metric(self) -> Metric | None:
        """Metric of windows whose pixels are alike, but know nothing of each other.

        E[x_t x_u^T] is the moment of the channels for t = u, and the product of their means for
        two different taps t and u.
        """
        record = self.ctx.statistics.get(str(self.site.x.name))
        moment = None if record is None else record.moment
        if record is None or moment is None or self.conv.group > 1:
            return None
        if len(self.x_scale) > LARGEST_METRIC:
            return None
        taps = len(self.x_scale) // len(moment)
        means = np.outer(record.mean, record.mean)
        windows = np.kron(np.eye(taps), moment - means) + np.kron(np.ones((taps, taps)), means)
        scale = self.x_scale[:, 0]
        return Metric.of(shrink(windows / np.outer(scale, scale), record.count))

    def _drift(self, q: npt.NDArray[np.int8], step: Float) -> Float | float:
        record = self.ctx.statistics.get(str(self.site.x.name))
        if record is None:
            return 0.0
        means = self.site.spread(record.mean) / self.x_scale
        return np.asarray(((self.weight - q * step) * means).sum(0))

    def _operands(self, q: npt.NDArray[np.int8]) -> list[ir.Value]:
        _, rows, columns, each = self._stored_shape()
        filters = q.T.reshape(-1, rows, columns, each)
        zero = self.ctx.const(np.asarray(self.zero, np.uint8))
        return [self._image(), zero, self._weight_value(np.ascontiguousarray(filters))]

    def _stored_shape(self) -> tuple[int, ...]:
        stored = self.site.stored.const_value
        assert stored is not None
        return tuple(int(d) for d in stored.numpy().shape)

    def _offset(self, q: npt.NDArray[np.int8]) -> Float:
        return np.asarray(((self.x_zero - self.zero) * q).sum(0))

    def _image(self) -> ir.Value:
        """Return the input, brought to one zero point where it must be."""
        ctx, x = self.ctx, self.site.x
        narrow = ctx.narrow(x, Role.LINEAR)
        if not self._mixed:
            return narrow
        key = (str(x.name), "one_zero")
        if key not in ctx.forms:
            form, weight, divisor = one_zero(x.meta["forms"][Role.LINEAR], ctx.divisors)
            own = np.broadcast_to(x.meta["forms"][Role.LINEAR].zero, (ctx.extents(x)[-1],))
            bias = form.zero * divisor - own * weight + divisor // 2
            inputs = [
                narrow,
                ctx.const(np.diag(np.full(len(own), weight, np.int8)), f"{x.name}.diagonal"),
                ctx.i32(bias, f"{x.name}.one_zero.bias"),
                ctx.channels(divisor),
                ctx.scalar(0),
                ctx.scalar(255),
            ]
            ctx.forms[key] = ctx.emit(
                "Linear", inputs, ir.DataType.UINT8, x, scale=form, suffix=".one_zero"
            )
        return ctx.forms[key]


def _one_zero(form: QParams) -> bool:
    zero = form.zero.reshape(-1)
    return bool((zero == zero[0]).all() and zero[0] == np.rint(zero[0]))


def one_zero(form: QParams, divisors: Divisors) -> tuple[QParams, int, int]:
    """Return the finest form with one zero point that holds a form's values, and how to get there.

    Its scale is divisor / weight times the other's.

    Args:
        form: one zero point per channel.
        divisors: what layers may divide by.

    Returns:
        The form, the weight and the divisor.
    """
    low, high = float(form.zero.max()), float(form.hi - form.zero.min())
    choices = []
    for zero in range(1, 255):
        least = max(low / zero, high / (255 - zero))
        for weight in DIAGONAL:
            divisor = divisors.above(least * weight)
            choices.append((divisor / weight, zero, weight, divisor))
    ratio, zero, weight, divisor = min(choices)
    return QParams.of(form.scale * ratio, zero), weight, divisor


class _MaxPoolProducer(Producer):
    """The largest bytes of windows, in the form of the input."""

    made_in_8_bits = True

    def __init__(self, ctx: Lowering, node: ir.Node, label: str) -> None:
        super().__init__(ctx, node.outputs[0], label)
        self.node = node

    def native_roles(self) -> tuple[Role, ...]:
        return (Role.LINEAR,)

    def make_narrow(self, role: Role) -> ir.Value:
        x = self.node.inputs[0]
        assert x is not None
        attributes = {name: list(a.as_ints()) for name, a in self.node.attributes.items()}
        return self.ctx.emit(
            "MaxPool",
            [self.ctx.narrow(x, role)],
            ir.DataType.UINT8,
            self.value,
            scale=self.form(role),
            suffix=f".{role}",
            attributes=attributes,
        )


def lower_convolution(ctx: Lowering, node: ir.Node, label: str) -> None:
    """Register the producer of a Conv."""
    site = ctx.sites[str(node.outputs[0].name)]
    assert isinstance(site, ConvSite)
    ctx.producers[str(site.output.name)] = ConvProducer(ctx, site, label)


def lower_max_pool(ctx: Lowering, node: ir.Node, label: str) -> None:
    """Register the producer of a MaxPool."""
    ctx.producers[str(node.outputs[0].name)] = _MaxPoolProducer(ctx, node, label)
