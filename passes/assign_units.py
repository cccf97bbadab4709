"""Assign units: choose the power-of-two grid of every wide (int32) value.

    x = q * unit,   unit = 2**-e         |q| < 2**29 for every possible input

The worst case comes from the actual weights and from the ranges of the unsigned forms, not from
calibration, so it can be proved. Values that are added or only moved share one grid.

In a decoder worst cases multiply from layer to layer, far past any value that occurs. There the
grid leaves HEADROOM above what calibration saw, and every operator saturates: what is proved is
that nothing wraps.

Order      after assign_scales; lowering proves the integers again, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.errors import RangeProofError
from intcc.passes.calibrate import Statistics
from intcc.qparams import QParams, Role
from intcc.sites import (
    MOVEMENT,
    ConvSite,
    LinearSite,
    constant,
    gate_of,
    is_decoder,
    linear_sites,
    live_nodes,
)

__all__ = ["FIXED_UNITS", "assign_units"]

Float = npt.NDArray[np.float64]
#: Wide values stay below this magnitude, which LayerNorm needs: differences from a mean then
#: stay below 2**30.
LIMIT = 2.0**29 * 0.97
#: Results whose integer operator has a grid of its own.
FIXED_UNITS = {
    "Sigmoid": 2.0**-15,
    "Tanh": 2.0**-15,
    "Softmax": 2.0**-15,
    "L2Normalize": 2.0**-20,
}
_SHARING = MOVEMENT | {"Add", "Sub", "Relu", "MeanPool", "Clip", "Neg"}
#: Operators of decoders whose result has the grid of one input, by its position.
_FOLLOWING = {"RotaryEmbedding": 0, "CausalAttention": 2, "Gelu": 0}
#: Room above the largest value that calibration saw.
HEADROOM = 2.0**6


class _Groups:
    """Union-find over value names."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def find(self, name: str) -> str:
        root = name
        while self.parent.get(root, root) != root:
            root = self.parent[root]
        self.parent[name] = root
        return root

    def join(self, a: str, b: str) -> None:
        self.parent[self.find(a)] = self.find(b)


def _form_magnitude(form: QParams) -> float:
    low, high = form.real_bounds()
    return float(np.maximum(np.abs(low), np.abs(high)).max())


def _products(figures: Float, weight: Float) -> Float:
    """Return the sums over K of figures [K, 1 or N] times weights [K, N]."""
    if figures.shape[1] == 1:
        return np.asarray(figures[:, 0] @ weight)
    return np.asarray((figures * weight).sum(0))


def _linear_magnitude(site: LinearSite) -> float:
    form: QParams = site.x.meta["forms"][Role.LINEAR]
    low, high = form.real_bounds()
    weight, lo, hi = site.weight, site.spread(np.minimum(low, 0)), site.spread(np.maximum(high, 0))
    positive, negative = np.maximum(weight, 0), np.minimum(weight, 0)
    top = _products(hi, positive) + _products(lo, negative) + site.bias
    bottom = _products(lo, positive) + _products(hi, negative) + site.bias
    # Weights are rounded afterwards: each may grow by one step of at most 2/127 of the largest.
    slack = np.abs(weight).max(0) * (2 / 127) * (hi - lo).sum(0)
    return float((np.maximum(np.abs(top), np.abs(bottom)) + slack).max())


def _dynamic_magnitude(site: LinearSite, largest_input: float) -> float:
    """Worst case of a layer whose input is quantized per token, up to its own worst case.

    The token's scale is proved as mantissa times power of two, up to twice the real one.
    """
    form: QParams = site.x.meta["forms"][Role.LINEAR]
    factors = np.broadcast_to(form.scale / form.scale.min(), (site.weight.shape[0],))
    reach = (np.abs(site.weight) * factors[:, None]).sum(0) * largest_input
    return float((2.1 * reach + np.abs(site.bias)).max())


class _Magnitudes:
    """Largest real magnitude of each value, by name."""

    def __init__(self, graph: ir.Graph, *, dynamic: bool) -> None:
        self.table: dict[str, float] = {}
        self.sites = linear_sites(graph)
        self.dynamic = dynamic

    def of(self, value: ir.Value | None) -> float:
        array = constant(value)
        if array is not None:
            return float(np.abs(array).max(initial=0.0)) if array.dtype.kind == "f" else 0.0
        return self.table.get(str(value.name), 0.0) if value is not None else 0.0

    def node(self, node: ir.Node) -> float:
        inputs = [self.of(v) for v in node.inputs]
        site = self.sites.get(str(node.outputs[0].name))
        if site is not None and (not self.dynamic or isinstance(site, ConvSite)):
            return _linear_magnitude(site)
        if site is not None:
            return max(_linear_magnitude(site), _dynamic_magnitude(site, self.of(site.x)))
        match node.op_type:
            case "LayerNormalization" | "RMSNormalization":
                gain = np.abs(np.asarray(constant(node.inputs[1])))
                bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
                width = gain.shape[-1]
                shift = 0.0 if bias is None else np.abs(bias)
                return float((math.sqrt(width) * 1.001 * gain + shift).max())
            case "Gelu":
                form = node.outputs[0].meta["forms"][Role.LINEAR]
                return _form_magnitude(form)
            case "Attention":
                assert node.inputs[2] is not None
                return _form_magnitude(node.inputs[2].meta["forms"][Role.VALUE])
            case "MatMul":
                a, b = node.inputs
                assert a is not None and b is not None
                if Role.QUERY not in a.meta.get("forms", {}):
                    return 0.0
                k = a.shape[-1] if a.shape is not None else 0
                size = k if isinstance(k, int) else 4096
                return (
                    _form_magnitude(a.meta["forms"][Role.QUERY])
                    * _form_magnitude(b.meta["forms"][Role.KEY])
                    * size
                )
            case "Add" | "Sub":
                return sum(inputs)
            case "Mul":
                return inputs[0] * inputs[1]
            case "Clip":
                low, high = (float(np.asarray(constant(v))) for v in node.inputs[1:3])
                # Limits on one side of zero lift what lies between zero and them.
                return max(min(inputs[0], max(inputs[1:])), low, -high)
            case "Div":
                divisor = constant(node.inputs[1])
                return inputs[0] / float(np.abs(divisor).min()) if divisor is not None else 0.0
            case kind if kind in FIXED_UNITS:
                return 1.0
            case _:
                return max(inputs, default=0.0)


class _Observed(_Magnitudes):
    """Magnitudes in a decoder: what was seen and room above, or less where that can be proved."""

    def __init__(
        self, graph: ir.Graph, statistics: Mapping[str, Statistics], *, dynamic: bool
    ) -> None:
        super().__init__(graph, dynamic=dynamic)
        self.statistics = statistics

    def node(self, node: ir.Node) -> float:
        site = self.sites.get(str(node.outputs[0].name))
        if site is not None and not self.dynamic:
            return _linear_magnitude(site)
        known = node.op_type in ("LayerNormalization", "RMSNormalization", *FIXED_UNITS)
        record = self.statistics.get(str(node.outputs[0].name))
        if known or record is None or (node.op_type in MOVEMENT and node.op_type != "Slice"):
            return super().node(node)
        return HEADROOM * float(np.maximum(-record.low, record.high).max())


def _followed(node: ir.Node, decoder: bool) -> list[ir.Value]:
    """Return the inputs whose grid the results share."""
    floats = [v for v in node.inputs if v is not None and v.dtype == ir.DataType.FLOAT]
    if node.op_type in _SHARING:
        return floats
    if decoder and node.op_type in _FOLLOWING:
        return floats[_FOLLOWING[node.op_type] :][:1]
    gated = gate_of(node)
    return [gated] if gated is not None else []


def assign_units(
    model: ir.Model,
    statistics: Mapping[str, Statistics] | None = None,
    *,
    dynamic: bool = False,
) -> None:
    """Write value.meta["unit"] on every float value.

    Args:
        model: the float graph with forms.
        statistics: of the calibration; decoders need them.
        dynamic: the inputs of linear layers get their scale at run time.

    Raises:
        RangeProofError: a value's worst case leaves fewer than 8 bits below one.
    """
    graph = model.graph
    decoder = is_decoder(graph)
    magnitudes = (
        _Observed(graph, statistics or {}, dynamic=dynamic)
        if decoder
        else _Magnitudes(graph, dynamic=dynamic)
    )
    groups = _Groups()
    values: dict[str, ir.Value] = {}
    live = live_nodes(graph)
    for value in graph.inputs:
        if Role.LINEAR in value.meta.get("forms", {}):
            magnitudes.table[str(value.name)] = _form_magnitude(value.meta["forms"][Role.LINEAR])
    for node in graph:
        if node not in live:
            continue
        top = magnitudes.node(node)
        shared = str(node.outputs[0].name) not in magnitudes.sites
        followed = _followed(node, decoder) if shared else []
        floats = [
            v
            for v in [*node.inputs, *node.outputs]
            if v is not None and v.dtype == ir.DataType.FLOAT
        ]
        values.update((str(v.name), v) for v in floats)
        for output in node.outputs:
            magnitudes.table[str(output.name)] = top
            for operand in followed:
                groups.join(str(operand.name), str(output.name))
    largest: dict[str, float] = {}
    for name, value in values.items():
        root = groups.find(name)
        largest[root] = max(largest.get(root, 0.0), magnitudes.of(value))
    for name, value in values.items():
        producer = value.producer()
        if producer is not None and producer.op_type in FIXED_UNITS:
            value.meta["unit"] = FIXED_UNITS[producer.op_type]
            continue
        top = max(largest[groups.find(name)], 2.0**-12)
        exponent = math.floor(math.log2(LIMIT / top))
        if exponent < 2:
            raise RangeProofError(
                f"Value {name!r}",
                f"can reach {top:.3g}, too much for a 32-bit grid",
                "The model needs --activations dynamic, or its weights are damaged",
            )
        value.meta["unit"] = 2.0 ** -min(exponent, 40)
