"""Assign scales: hang the unsigned forms and the wide grids on the float values.

    before   canonical FLOAT graph + Statistics
    after    SCALED: value.meta["forms"] = {Role: QParams}, value.meta["unit"] = 2**-e

Forms are per role (`intcc.qparams.Role`). Constraints between them:

* query and key: scale_q[c] * scale_k[c] is one constant, so that scores have one unit;
* attention output: the scale of its values, since the row sum is divided out exactly;
* GELU: the output's scale is a whole part of the input's, whose zero point is the knee;
* pooling by maxima: input and output have one form.

Exactness  nothing is rounded yet.
Order      after calibrate; lowering reads what this pass writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.errors import UnsupportedOperatorError
from intcc.ops import gelu
from intcc.passes.calibrate import Statistics
from intcc.passes.equivalences import smooth
from intcc.passes.float_session import float_session
from intcc.passes.lowering.divisors import SMALLEST_DIVISOR
from intcc.qparams import QParams, Role
from intcc.sites import (
    MOVEMENT,
    ConvSite,
    Demand,
    LinearSite,
    activation_of,
    constant,
    demands,
    is_decoder,
    linear_sites,
)

__all__ = ["assign_scales"]

Float = npt.NDArray[np.float64]
#: Ranges seen in calibration are widened by this factor where saturation would hurt most.
HEADROOM = 1.1
#: What dividing channels at run time must save of the squared error to be worth an operator.
RUN_TIME_GAIN = 0.5
#: Fewest steps of a layer's sums in a step of its bytes: one to spare, as its step moves a little
#: between here and the choice of the divisor.
LEAST_RATIO = SMALLEST_DIVISOR + 1


class _Assigner:
    """State of one run; every method writes the forms of one kind of value."""

    def __init__(
        self,
        model: ir.Model,
        statistics: dict[str, Statistics],
        observer: str,
        inputs: Mapping[str, QParams],
        dynamic: bool,
    ) -> None:
        self.model, self.graph = model, model.graph
        self.dynamic = dynamic
        self.statistics, self.observer, self.inputs = statistics, observer, inputs
        self.sites = linear_sites(model.graph)
        self.consumers: dict[str, list[LinearSite]] = {}
        for site in self.sites.values():
            self.consumers.setdefault(str(site.x.name), []).append(site)

    def run(self) -> None:
        table = demands(self.graph)
        decoder = is_decoder(self.graph)
        for node in self.graph if not decoder else ():
            if node.op_type == "Attention":
                self.attention(node)
            elif node.op_type == "Gelu":
                self.gelu(node)
            elif node.op_type == "MatMul" and str(node.outputs[0].name) and len(node.inputs) == 2:
                self.product(node)
        for value in self.graph.inputs:
            if value.dtype == ir.DataType.FLOAT:
                forms(value)[Role.LINEAR] = self.model_input(value)
        for node in reversed(self.graph):  # of two that follow each other the last decides
            if node.op_type == "MaxPool":
                self.max_pool(node)
        for value in self._values():
            demand = table.get(str(value.name), Demand(set()))
            if Role.LINEAR in demand.roles and Role.LINEAR not in forms(value):
                row = decoder and self.dynamic
                forms(value)[Role.LINEAR] = self.row(value) if row else self.linear_input(value)

    def row(self, value: ir.Value) -> QParams:
        """Return relative channel factors of an input whose rows get a scale at run time.

        Where `balance` could divide the channels at their source, nothing is left to gain.
        """
        record, consumers = self.statistics[str(value.name)], self.consumers[str(value.name)]
        ternary = any(site.ternary for site in consumers)
        width = len(record.low)
        if ternary or value.meta.get("balanced") or record.rows.shape[1] != width:
            return QParams.of(1.0, 128)
        weight = self._weights(value)
        amax = smooth.without_quiet(np.maximum(-record.low, record.high))
        wmax = np.abs(weight).max(1)
        choices = [smooth.divisors(amax, wmax, strength) for strength in smooth.STRENGTHS]
        found = smooth.search_rows(record.rows, weight, choices, gain=RUN_TIME_GAIN)
        return QParams.of(choices[found], 128)

    def _values(self) -> list[ir.Value]:
        return [*self.graph.inputs, *(v for node in self.graph for v in node.outputs)]

    def _range(self, value: ir.Value) -> tuple[Float, Float]:
        least, most = limits_of(value)
        low, high = self._expected(value)
        return np.maximum(low, least), np.minimum(high, most)

    def _expected(self, value: ir.Value) -> tuple[Float, Float]:
        record = self.statistics[str(value.name)]
        if self.observer == "minmax":
            return record.likely
        limit = record.mse_range() if self.observer == "mse" else record.percentile(0.9999)
        return np.maximum(record.low, -limit), np.minimum(record.high, limit)

    def _weights(self, value: ir.Value) -> Float:
        sites = self.consumers.get(str(value.name), [])
        shared = [s.by_channel for s in sites if not (isinstance(s, ConvSite) and s.group > 1)]
        return np.concatenate(shared, axis=1) if shared else np.zeros((0, 0))

    def model_input(self, value: ir.Value) -> QParams:
        """Take the declared form of a float input, else one that covers its calibration range.

        Where a product reads the input itself, all its channels have one scale.
        """
        form = self.inputs.get(str(value.name))
        if form is not None and str(value.name) in self.consumers:
            row = _by_row(value, form, _everywhere(form, value))
            return QParams.of(row.scale[:1], row.zero[:1], form.lo, form.hi)
        if form is not None:
            return form
        record = self.statistics[str(value.name)]
        return QParams.affine(float(record.low.min()), float(record.high.max()))

    def moved_input(self, value: ir.Value) -> QParams | None:
        """Carry the form of a model input through data movement and maxima; None where none is.

        Scale and zero are sent through the float graph in place of the data, which moves them.
        """
        origin: ir.Value | None = value
        while origin is not None and (node := origin.producer()) is not None:
            origin = node.inputs[0] if node.op_type in {*MOVEMENT, "MaxPool"} else None
        if origin is None or origin.const_value is not None or origin is value:
            return None
        if origin.dtype != ir.DataType.FLOAT:
            return None
        form = forms(origin)[Role.LINEAR]
        session = float_session(self.model, [str(value.name)])
        feeds = ({str(origin.name): figure} for figure in _everywhere(form, origin))
        return _by_row(value, form, [session.run([str(value.name)], feed)[0] for feed in feeds])

    def linear_input(self, value: ir.Value) -> QParams:
        """Search smoothing strength and clipping on the products with the consumers' weights."""
        if (moved := self.moved_input(value)) is not None:
            return moved
        low, high = self._range(value)
        record, weights = self.statistics[str(value.name)], self._weights(value)
        if record.rows.size and record.rows.shape[1] == weights.shape[0]:
            form = smooth.search(record.rows, low, high, weights)
        elif str(value.name) in self.consumers and not weights.size:
            # Groups alone: a channel that no other shares weights with has a scale of its own.
            size = smooth.without_quiet(np.maximum(-low, high))
            size = np.maximum(size / max(float(size.max()), 1e-30), 1e-3)
            form = QParams.affine(float((low / size).min()), float((high / size).max()), size)
        else:
            form = QParams.affine(float(low.min()), float(high.max()))
        return within(self._divisible(value, form), limits_of(value)[1])

    def _divisible(self, value: ir.Value, form: QParams) -> QParams:
        """Coarsen channels that are too quiet for the layer that makes them.

        Such a layer divides its sums by whole numbers, which a channel that hardly ever fires
        would make tiny. Of a channel without activity nothing is lost.
        """
        node = value.producer()
        made = None if node is None or node.inputs[0] is None else str(node.inputs[0].name)
        site = self.sites.get(made or "")
        if site is None or activation_of(site) is not node:
            return form
        read = forms(site.x).get(Role.LINEAR)
        if read is None:
            return form
        step = np.abs(site.weight * site.spread(read.scale)).max(0) * (2 / 127)
        least = LEAST_RATIO * step
        if (form.scale >= least).all():
            return form
        return QParams(np.maximum(form.scale, least), form.zero, form.lo, form.hi)

    def max_pool(self, node: ir.Node) -> None:
        """Give what is pooled and its maxima one form: the maxima's, or that of a pool behind.

        A pool of the model's input keeps the form that is given.
        """
        x, y = node.inputs[0], node.outputs[0]
        assert x is not None
        form = forms(y).get(Role.LINEAR) or self.linear_input(y)
        forms(x)[Role.LINEAR] = forms(y)[Role.LINEAR] = form

    def attention(self, node: ir.Node) -> None:
        """Balance queries against keys per channel; tie the output's scale to the values'."""
        query, key, value = node.inputs[0], node.inputs[1], node.inputs[2]
        assert query is not None and key is not None and value is not None
        forms(query)[Role.QUERY], forms(key)[Role.KEY] = self._balanced(query, key)
        low, high = self._range(value)
        context = node.outputs[0]
        sites = self.consumers.get(str(context.name))
        if sites:
            rows = self.statistics[str(value.name)].rows
            params = smooth.search(rows, low, high, self._weights(context), symmetric=True)
        else:
            params = QParams.of(np.maximum(np.maximum(-low, high), 1e-12) / 127, 128, 1, 255)
        forms(value)[Role.VALUE] = params
        forms(context)[Role.LINEAR] = params

    def _balanced(self, query: ir.Value, key: ir.Value) -> tuple[QParams, QParams]:
        (q_low, q_high), (k_low, k_high) = self._range(query), self._range(key)
        q, k = np.maximum(-q_low, q_high), np.maximum(-k_low, k_high)
        b = smooth.balance(q, k) if q.shape == k.shape else np.ones_like(q)
        scale_q = max(float((q / b).max()), 1e-12) / 63
        scale_k = max(float((k * b).max()), 1e-12) / 127 if q.shape == k.shape else k.max() / 127
        inverse = 1 / b if q.shape == k.shape else 1.0
        return (
            QParams.of(b * scale_q, 64, 1, 127),
            QParams.of(inverse * scale_k, 128, 1, 255),
        )

    def product(self, node: ir.Node) -> None:
        """Give both operands of an activation product a form with one scale each."""
        a, b = node.inputs
        assert a is not None and b is not None
        if b.const_value is not None:
            return
        for value, role, zero, top in ((a, Role.QUERY, 64, 127), (b, Role.KEY, 128, 255)):
            low, high = self._range(value)
            limit = max(float(-low.min()), float(high.max()), 1e-12)
            forms(value)[role] = QParams.of(limit / (top - zero), zero, 1, top)

    def gelu(self, node: ir.Node) -> None:
        """Choose the steps per channel so that the largest input fits above the knee."""
        x, y = node.inputs[0], node.outputs[0]
        assert x is not None
        variant = node.attributes.get_string("approximate", "none")
        record = self.statistics[str(x.name)]
        high = self._range(x)[1] * (1.0 if record.probed else HEADROOM)
        high = np.maximum(high, record.high * HEADROOM)
        step, knee, factor = gelu.grid(high, variant or "none")
        forms(x)[Role.GELU] = QParams.of(step, knee, hi=gelu.HIGHEST)
        forms(y)[Role.LINEAR] = QParams.of(step / factor, gelu.output_zero(step / factor))


def _everywhere(form: QParams, value: ir.Value) -> list[npt.NDArray[np.float32]]:
    """Return scale and zero of every element of a value, with a batch of one."""
    assert value.shape is not None
    shape = [d if isinstance(d, int) else 1 for d in value.shape]
    figures = (form.scale, form.zero)
    return [np.broadcast_to(figure, shape).astype(np.float32) for figure in figures]


def _by_row(value: ir.Value, form: QParams, figures: Sequence[npt.NDArray[np.float32]]) -> QParams:
    """Return the form along the last axis, from scale and zero of every element.

    Raises:
        UnsupportedOperatorError: it differs between rows.
    """
    moved = []
    for figure in figures:
        rows = figure.reshape(-1, figure.shape[-1])
        if (rows != rows[0]).any():
            raise UnsupportedOperatorError(
                f"Value {str(value.name)!r}",
                "mixes channels of different scales along its rows",
                "Use one mean and standard deviation for all channels",
            )
        moved.append(rows[0].astype(np.float64))
    return QParams.of(moved[0], moved[1], form.lo, form.hi)


def limits_of(value: ir.Value) -> tuple[float, float]:
    """Return what an activation, or a pool behind it, keeps a value within."""
    node = value.producer()
    if node is not None and node.op_type == "MaxPool" and node.inputs[0] is not None:
        return limits_of(node.inputs[0])
    if node is not None and node.op_type == "Relu":
        return 0.0, np.inf
    if node is not None and node.op_type == "Clip":
        low, high = (constant(v) for v in node.inputs[1:3])
        assert low is not None and high is not None
        return float(low), float(high)
    return -np.inf, np.inf


def within(form: QParams, most: float) -> QParams:
    """Return a form whose channels end at `most`, so that the largest byte is that limit."""
    if not np.isfinite(most) or most <= 0:
        return form
    return QParams(np.minimum(form.scale, most / (form.hi - form.zero)), form.zero)


def forms(value: ir.Value) -> dict[Role, QParams]:
    """Return the forms of a value, writable."""
    table: dict[Role, QParams] = value.meta.setdefault("forms", {})
    return table


def assign_scales(
    model: ir.Model,
    statistics: dict[str, Statistics],
    observer: str = "minmax",
    inputs: Mapping[str, QParams] | None = None,
    *,
    dynamic: bool = False,
) -> None:
    """Write the forms of all values.

    Args:
        model: canonical float graph; values get `meta["forms"]`.
        statistics: from `calibrate`.
        observer: "minmax" (what was seen, on probes too, and some standard deviations),
            "percentile" (99.99 %) or "mse".
        inputs: forms of float inputs that the source declares, such as pixels.
        dynamic: the inputs of linear layers get their scale at run time.
    """
    _Assigner(model, statistics, observer, inputs or {}, dynamic).run()
