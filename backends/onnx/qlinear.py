"""QLinear ONNX: the integer model with QLinearConv and QLinearMatMul where they say the same.

    before   y = Linear(x, weight, bias, divisor, lo, hi)
    after    xt = Transpose(x);  yt = QLinearConv(xt, weight, bias, scales);  y = Transpose(yt)
    or       y = QLinearMatMul(x, weight, scales)        where the bias is one of zero points alone
             y = Clip(y, lo, hi)                         where that is less than 8 bits
    before   y = Conv(x, zero, filters, bias, divisor, lo, hi)                     channels last
    after    the same, with the convolution's own geometry

QLinearMatMul has no bias, a convolution of one position has. All codes are their own unit: scales
of x and y are 1, the weights' are 1 / divisor in float32. Whatever no standard operator of
quantized numbers says stays what it is in the strict model.

Exactness  equal to the strict model where `intcc.requantization.differing` counts nothing; what it
           counts is reported.
Order      on the dialect's graph, before its functions are attached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from intcc.backends.onnx.clean import initializer
from intcc.backends.onnx.strict import emit as emit_strict
from intcc.interval import Interval
from intcc.ops.operator import DOMAIN
from intcc.requantization import differing, scale_of

__all__ = ["RULES", "SCALE_INPUTS", "Coverage", "Covered", "cover", "emit"]

Array = npt.NDArray[Any]
#: Positions of the scales among the inputs of the operators that are emitted here.
SCALE_INPUTS: Mapping[str, tuple[int, ...]] = {
    "QLinearMatMul": (1, 4, 6),
    "QLinearConv": (1, 4, 6),
}
#: Zero point of a convolution's output: the middle, where float32 is most exact.
ZERO = 128


@dataclass(frozen=True)
class Covered:
    """A layer that became an operator of quantized numbers.

    Attributes:
        value: what it makes.
        operator: its type now.
        divisor: the largest, whose reciprocal is the smallest scale.
        ties: whether quotients can lie halfway, as those by powers of two can.
        accumulators: how many values its accumulators can have, over all channels.
        differing: how many of these onnxruntime's float32 rounds otherwise than the strict model.
    """

    value: str
    operator: str
    divisor: int
    ties: bool
    accumulators: int
    differing: int


@dataclass(frozen=True)
class Coverage:
    """What became of a model's operators.

    Attributes:
        layers: those that were replaced.
        kept: number of the dialect's operators that stay integer functions, by type.
    """

    layers: tuple[Covered, ...]
    kept: Mapping[str, int]

    @property
    def proved(self) -> bool:
        """Whether every layer gives the strict model's bits, for all inputs."""
        return not any(layer.differing for layer in self.layers)


def emit(
    integer: ir.Model, proved: Mapping[str, Interval] = MappingProxyType({})
) -> tuple[onnx.ModelProto, Coverage]:
    """Return the QLinear model and what it covers.

    Args:
        integer: the INTEGER graph; it stays as it is.
        proved: intervals of its values by name, as for the strict model.
    """
    model, coverage = cover(integer)
    return emit_strict(model, proved), coverage


def cover(integer: ir.Model) -> tuple[ir.Model, Coverage]:
    """Return a copy of the INTEGER graph with operators of quantized numbers in it."""
    model = ir.from_proto(ir.to_proto(integer))
    covered = []
    for node in list(model.graph):
        rule = RULES.get(node.op_type) if node.domain == DOMAIN.domain else None
        found = rule(model.graph, node) if rule is not None else None
        if found is not None:
            covered.append(found)
    kept = Counter(n.op_type for n in model.graph if n.domain == DOMAIN.domain)
    return model, Coverage(tuple(covered), dict(sorted(kept.items())))


@dataclass(frozen=True)
class _Constants:
    """The constants of a layer, and what follows from them.

    Attributes:
        matrix: weights [K, N], K products a result.
        bias: what an accumulator gets, less zero point and rounding half of the output.
        divisor: per channel.
        lo: smallest result.
        hi: largest.
        zero_x: zero point of the input; 0 where the bias holds it.
    """

    matrix: npt.NDArray[np.int64]
    bias: npt.NDArray[np.int64]
    divisor: npt.NDArray[np.int64]
    lo: int
    hi: int
    zero_x: int = 0

    @classmethod
    def of(cls, matrix: Array, rest: Sequence[ir.Value | None], zero_x: int = 0) -> _Constants:
        """Read what follows the weights: bias, divisor, lo, hi."""
        bias, divisor, lo, hi = (_array(v) for v in rest)
        d = np.broadcast_to(divisor.astype(np.int64), matrix.shape[1:])
        less = bias.astype(np.int64) - d // 2
        return cls(matrix.astype(np.int64), less, d, int(lo), int(hi), zero_x)

    def zero_points(self) -> tuple[int, int] | None:
        """Return zero points of x and y that are the whole bias, None where none are."""
        sums = self.matrix.sum(0)
        widest = int(np.abs(sums).argmax())
        for zero in range(256):
            rest = self.bias - zero * self.divisor
            zero_x = -int(rest[widest]) // int(sums[widest]) if sums[widest] else 0
            if 0 <= zero_x <= 255 and (rest == -zero_x * sums).all():
                return zero_x, zero
        return None

    def reach(self, zero: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return bounds of the accumulators for all x of 8 bits, the bias for `zero` included."""
        rest = self.bias - zero * self.divisor
        negative, positive = (c.sum(0) for c in (self.matrix.clip(max=0), self.matrix.clip(min=0)))
        low, high = -self.zero_x, 255 - self.zero_x
        return high * negative + low * positive + rest, high * positive + low * negative + rest

    def fits(self, zero: int) -> bool:
        """Tell whether the accumulators stay in 32 bits."""
        least, most = self.reach(zero)
        return bool(least.min() >= -(2**31) and most.max() < 2**31)


def _array(value: ir.Value | None) -> Array:
    assert value is not None and value.const_value is not None
    return np.asarray(value.const_value.numpy())


class _Chain:
    """Nodes that replace one, made in order."""

    def __init__(self, graph: ir.Graph, replaced: ir.Node) -> None:
        self.graph, self.replaced = graph, replaced
        self.result = replaced.outputs[0]
        self.nodes: list[ir.Node] = []

    def constant(self, suffix: str, array: Array) -> ir.Value:
        """Return a constant of this layer alone."""
        return initializer(self.graph, f"{self.result.name}.{suffix}", array)

    def shared(self, array: Array) -> ir.Value:
        """Return a constant of one element that all layers share."""
        name = f"qlinear.{array.dtype.name}_{array.item():g}"
        return initializer(self.graph, name + "_vector" * array.ndim, array)

    def add(self, kind: str, inputs: list[ir.Value], suffix: str, **attributes: Any) -> ir.Value:
        """Append a node with one result."""
        value = ir.Value(name=f"{self.result.name}.{suffix}")
        value.type = self.result.type
        node = ir.node(kind, inputs, attributes, outputs=[value], name=str(value.name))
        node.metadata_props.update(self.replaced.metadata_props)
        self.nodes.append(node)
        return value

    def finish(self, last: ir.Value) -> None:
        """Put the nodes in the place of the one they replace."""
        old = self.result
        last.name, last.shape, last.type = old.name, old.shape, old.type
        last.metadata_props.update(old.metadata_props)
        self.graph.insert_after(self.replaced, self.nodes)
        old.replace_all_uses_with(last, replace_graph_outputs=True)
        self.graph.remove(self.replaced, safe=True)


def _linear(graph: ir.Graph, node: ir.Node) -> Covered | None:
    """Replace a Linear; leave one whose input's rank or whose 32 bits do not allow it.

    One with a bias is a convolution of one position; rows of rank 2 become positions.
    """
    x, weight = node.inputs[0], _array(node.inputs[1])
    assert x is not None
    rank = len(x.shape) if x.shape is not None else 0
    constants = _Constants.of(weight, node.inputs[2:])
    zeros = constants.zero_points()
    if rank < 2 or not constants.fits(ZERO if zeros is None else zeros[1]):
        return None
    chain = _Chain(graph, node)
    if zeros is not None:
        y = chain.add("QLinearMatMul", _operands(chain, x, weight, 0, constants, zeros), "product")
        return _finish(chain, y, constants, zeros[1])
    axis = chain.shared(np.array([0], np.int64))
    if rank == 2:
        x = chain.add("Unsqueeze", [x, axis], "rows")
    spatial = max(rank, 3) - 2
    filters = weight.T.reshape(*weight.T.shape, *(1,) * spatial)
    y = _convolution(chain, x, filters, 0, constants)
    if rank == 2:
        y = chain.add("Squeeze", [y, axis], "batch")
    return _finish(chain, y, constants, ZERO)


def _conv(graph: ir.Graph, node: ir.Node) -> Covered | None:
    """Replace a Conv; leave one whose 32 bits do not allow it.

    Weights that no kernel's pairs of products saturate stay signed, others get a zero point.
    """
    x, zero_x, weight = node.inputs[0], int(_array(node.inputs[1])), _array(node.inputs[2])
    assert x is not None
    constants = _Constants.of(weight.reshape(len(weight), -1).T, node.inputs[3:], zero_x)
    if not constants.fits(ZERO):
        return None
    filters, zero_w = weight.transpose(0, 3, 1, 2), 0
    if 255 * 2 * np.abs(weight.astype(np.int64)).max(initial=0) > 2**15 - 1:
        filters, zero_w = (filters.astype(np.int16) + 128).astype(np.uint8), 128
    chain = _Chain(graph, node)
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    y = _convolution(chain, x, filters, zero_w, constants, **attributes)
    return _finish(chain, y, constants, ZERO)


def _operands(
    chain: _Chain,
    x: ir.Value,
    weight: Array,
    zero_w: int,
    constants: _Constants,
    zeros: tuple[int, int],
) -> list[ir.Value]:
    """Return the eight inputs that both operators begin with."""
    one = chain.shared(np.array(1, np.float32))
    return [
        x,
        one,
        chain.shared(np.array(zeros[0], np.uint8)),
        chain.constant("qlinear_weight", np.ascontiguousarray(weight)),
        chain.constant("scale", scale_of(constants.divisor)),
        chain.constant("weight_zero", np.full(len(constants.divisor), zero_w, weight.dtype)),
        one,
        chain.shared(np.array(zeros[1], np.uint8)),
    ]


def _convolution(
    chain: _Chain,
    x: ir.Value,
    filters: Array,
    zero_w: int,
    constants: _Constants,
    **attributes: Any,
) -> ir.Value:
    """Append a convolution of channels that go first and come back.

    onnxruntime takes the transpositions into the convolution.
    """
    kernel = filters.shape[2:]
    last = len(kernel) + 1
    turned = chain.add("Transpose", [x], "channels_first", perm=[0, last, *range(1, last)])
    zeros = (constants.zero_x, ZERO)
    bias = (constants.bias - ZERO * constants.divisor).astype(np.int32)
    inputs = _operands(chain, turned, filters, zero_w, constants, zeros)
    y = chain.add(
        "QLinearConv",
        [*inputs, chain.constant("qlinear_bias", bias)],
        "product",
        kernel_shape=list(kernel),
        **attributes,
    )
    return chain.add("Transpose", [y], "channels_last", perm=[0, *range(2, last + 1), 1])


def _finish(chain: _Chain, y: ir.Value, constants: _Constants, zero: int) -> Covered:
    """Append what saturates at less than 8 bits, close the chain and count."""
    operator = next(n.op_type for n in chain.nodes if n.op_type in SCALE_INPUTS)
    if (constants.lo, constants.hi) != (0, 255):
        bounds = [chain.shared(np.array(limit, np.uint8)) for limit in (constants.lo, constants.hi)]
        y = chain.add("Clip", [y, *bounds], "clipped")
    chain.finish(y)
    least, most = constants.reach(zero)
    return Covered(
        value=str(y.name),
        operator=operator,
        divisor=int(constants.divisor.max()),
        ties=bool((constants.divisor % 2 == 0).any()),
        accumulators=int((most - least + 1).sum()),
        differing=int(differing(constants.divisor, zero, least, most).sum()),
    )


#: How each operator of the dialect is said with operators of quantized numbers.
RULES: Mapping[str, Callable[[ir.Graph, ir.Node], Covered | None]] = {
    "Conv": _conv,
    "Linear": _linear,
}
