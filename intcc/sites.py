"""Sites: the float graph seen as the lowering sees it.

A linear layer is two nodes (MatMul with constant weights, Add of a constant bias) and one
meaning; a convolution is one node and the same meaning, applied to windows. `linear_sites` finds
both. `demands` tells what forms the consumers of a value need.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.qparams import Role

__all__ = [
    "FLOAT_DOMAIN",
    "MOVEMENT",
    "ConvSite",
    "Demand",
    "LinearSite",
    "activation_of",
    "constant",
    "demands",
    "gate_of",
    "is_decoder",
    "linear_sites",
    "live_nodes",
]

#: Model-local functions with float bodies, allowed until lowering.
FLOAT_DOMAIN = "ai.intcc.float"

#: Operators that only move elements; they work on any form.
MOVEMENT = frozenset(
    "Reshape Transpose Slice Concat Split Squeeze Unsqueeze Gather Expand Identity Flatten".split()
)


def constant(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """Return the elements of a compile-time constant, else None."""
    if value is None or value.const_value is None:
        return None
    return np.asarray(value.const_value.numpy())


@dataclass(frozen=True, eq=False)
class LinearSite:
    """y = x @ weight + bias.

    Attributes:
        node: the MatMul.
        x: its activation input.
        stored: [K, N] initializer, float32.
        bias: [N] float64; zeros where the model has none.
        output: the value that holds y (the Add's output where there is a bias).
        bias_node: the Add, or None.
    """

    node: ir.Node
    x: ir.Value
    stored: ir.Value
    bias: npt.NDArray[np.float64]
    output: ir.Value
    bias_node: ir.Node | None

    @property
    def weight(self) -> npt.NDArray[np.float64]:
        """The weights [K, N] in float64, made anew: a model's would fill the memory at once."""
        array = constant(self.stored)
        assert array is not None
        return array.astype(np.float64)

    @property
    def ternary(self) -> bool:
        """Whether every column holds nothing but -s, 0 and s (BitNet)."""
        array = constant(self.stored)
        assert array is not None
        magnitude = np.abs(array)
        return bool(((magnitude == 0) | (magnitude == magnitude.max(0))).all())

    def spread(self, figures: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return figures of the input's channels as the weights lie: [K, 1], or [K, N]."""
        array = constant(self.stored)
        assert array is not None
        return np.broadcast_to(figures, (len(array),))[:, None]

    @property
    def by_channel(self) -> npt.NDArray[np.float64]:
        """The weights with all that reads one channel of the input in one row."""
        return self.weight


@dataclass(frozen=True, eq=False)
class ConvSite(LinearSite):
    """y = windows(x) @ weight + bias, K = KH * KW * C / group.

    `stored` is [N, KH, KW, C / group]; `node` the Conv, which has the bias.
    """

    @property
    def weight(self) -> npt.NDArray[np.float64]:
        """The weights [K, N] in float64, taps before channels."""
        array = constant(self.stored)
        assert array is not None
        return np.ascontiguousarray(array.reshape(len(array), -1).T, np.float64)

    @property
    def ternary(self) -> bool:
        """No convolution is."""
        return False

    @property
    def group(self) -> int:
        """Number of groups."""
        return self.node.attributes.get_int("group", 1)

    @property
    def padded(self) -> bool:
        """Whether windows reach over the edge."""
        return any(self.node.attributes.get_ints("pads", [0]))

    def spread(self, figures: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return figures of the input's channels as the weights lie: [K, 1], or [K, N]."""
        filters, *taps, each = self._shape
        groups = np.broadcast_to(figures, (each * self.group,)).reshape(self.group, each)
        columns = np.tile(groups, (1, int(np.prod(taps)))).T
        return columns if self.group == 1 else np.repeat(columns, filters // self.group, axis=1)

    @property
    def _shape(self) -> tuple[int, ...]:
        array = constant(self.stored)
        assert array is not None
        return array.shape

    @property
    def by_channel(self) -> npt.NDArray[np.float64]:
        """The weights [C, taps * N]; of groups, the N that read the channel."""
        array = constant(self.stored)
        assert array is not None
        n, *_, each = array.shape
        split = array.reshape(self.group, n // self.group, -1, each).transpose(0, 3, 2, 1)
        return np.ascontiguousarray(split.reshape(self.group * each, -1), np.float64)


def _conv_site(node: ir.Node) -> ConvSite:
    x, stored, bias = node.inputs
    offsets = constant(bias)
    assert x is not None and stored is not None and offsets is not None
    return ConvSite(node, x, stored, offsets.astype(np.float64), node.outputs[0], None)


def _bias_of(product: ir.Value, width: int) -> tuple[ir.Node, npt.NDArray[Any]] | None:
    uses = list(product.uses())
    if len(uses) != 1 or product.is_graph_output():
        return None
    user, index = uses[0]
    if user.op_type != "Add" or user.domain:
        return None
    array = constant(user.inputs[1 - index])
    if (
        array is None
        or array.size not in (1, width)
        or array.shape[-1:] not in ((width,), (1,), ())
    ):
        return None
    return user, np.broadcast_to(array.reshape(-1), (width,))


def linear_sites(graph: ir.Graph) -> dict[str, LinearSite]:
    """Return the linear layers and convolutions by the name of their output value."""
    sites: dict[str, LinearSite] = {}
    for node in graph:
        if node.op_type == "Conv" and node.domain == FLOAT_DOMAIN:
            sites[str(node.outputs[0].name)] = _conv_site(node)
        weight = constant(node.inputs[1]) if node.op_type == "MatMul" else None
        if weight is None or weight.ndim != 2:
            continue
        found = _bias_of(node.outputs[0], weight.shape[1])
        output = found[0].outputs[0] if found else node.outputs[0]
        bias = found[1] if found else np.zeros(weight.shape[1])
        x = node.inputs[0]
        stored = node.inputs[1]
        assert x is not None and stored is not None
        sites[str(output.name)] = LinearSite(
            node,
            x,
            stored,
            bias.astype(np.float64),
            output,
            found[0] if found else None,
        )
    return sites


@dataclass
class Demand:
    """The forms that the consumers of one value need."""

    roles: set[Role]
    wide: bool = False


def is_decoder(graph: ir.Graph) -> bool:
    """Tell whether the model reads a cache of keys and values: a causal language model."""
    return any(node.op_type == "CausalAttention" for node in graph)


def gate_of(node: ir.Node) -> ir.Value | None:
    """Return x where `node` is x * sigmoid(x), else None."""
    if node.op_type != "Mul":
        return None
    for x, other in (tuple(node.inputs), tuple(node.inputs)[::-1]):
        gate = None if other is None else other.producer()
        if gate is not None and gate.op_type == "Sigmoid" and gate.inputs[0] is x:
            return x
    return None


def activation_of(site: LinearSite) -> ir.Node | None:
    """Return the Relu or Clip that is all that reads a layer: its limits can be the layer's."""
    users = list(site.output.uses())
    if len(users) != 1 or site.output.is_graph_output() or users[0].idx != 0:
        return None
    node = users[0].node
    return node if node.op_type in ("Relu", "Clip") and node.domain == "" else None


def _role(node: ir.Node, index: int) -> Role | None:
    if node.domain == FLOAT_DOMAIN and node.op_type in ("Conv", "MaxPool"):
        return Role.LINEAR if index == 0 else None
    if node.op_type == "MatMul":
        if constant(node.inputs[1]) is not None and index == 0:
            return Role.LINEAR
        return (Role.QUERY, Role.KEY)[index]
    if node.op_type == "Attention" and index < 3:
        return (Role.QUERY, Role.KEY, Role.VALUE)[index]
    if node.op_type == "Gelu":
        return Role.GELU
    return None


def live_nodes(graph: ir.Graph) -> set[ir.Node]:
    """Nodes that results depend on; the float mask of an attention node does not count."""
    todo = [v.producer() for v in graph.outputs]
    found: set[ir.Node] = set()
    while todo:
        node = todo.pop()
        if node is None or node in found:
            continue
        found.add(node)
        inputs = node.inputs[:3] if node.op_type == "Attention" else node.inputs
        todo.extend(v.producer() for v in inputs if v is not None)
    return found


def _moved_inputs(graph: ir.Graph) -> set[str]:
    """Names of float inputs and of what only moves their elements."""
    names = {str(v.name) for v in graph.inputs if v.dtype == ir.DataType.FLOAT}
    for node in graph:
        first = node.inputs[0] if node.inputs else None
        if node.op_type in MOVEMENT and first is not None and str(first.name) in names:
            floats = [v for v in node.inputs if v is not None and v.dtype == ir.DataType.FLOAT]
            if len(floats) == 1:
                names.update(str(v.name) for v in node.outputs)
    return names


def demands(graph: ir.Graph) -> dict[str, Demand]:
    """Return what each value is needed for, by name.

    Moving the elements of a model input asks of it what is asked of the moved value; elsewhere
    movement works on the wide form.
    """
    table: dict[str, Demand] = defaultdict(lambda: Demand(set()))
    for value in graph.outputs:
        table[str(value.name)].wide = True
    moved, live = _moved_inputs(graph), live_nodes(graph)
    # Between its products a decoder keeps 12 bits and more: 8-bit forms are for products alone.
    decoder = is_decoder(graph)
    narrow = {Role.LINEAR} if decoder else set(Role)
    fused = set() if decoder else {activation_of(site) for site in linear_sites(graph).values()}
    for node in reversed(graph):
        if node not in live:
            continue
        through = node.op_type in MOVEMENT and all(str(v.name) in moved for v in node.outputs)
        for index, operand in enumerate(node.inputs):
            if operand is None or (node.op_type == "Attention" and index > 2):
                continue
            if gate_of(node) not in (None, operand):
                continue  # x * sigmoid(x) is one operator of x
            demand, role = table[str(operand.name)], _role(node, index)
            if role in narrow:
                demand.roles.add(role)
            elif node in fused and not table[str(node.outputs[0].name)].wide:
                continue  # the layer before makes the bytes of the activation
            elif through:
                for output in node.outputs:
                    demand.roles |= table[str(output.name)].roles
                    demand.wide |= table[str(output.name)].wide
            else:
                demand.wide = True
    return table
