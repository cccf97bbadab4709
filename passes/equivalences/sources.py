"""Sources: the constants upstream that can divide the channels of a value.

    norm          its gain and shift
    linear        the columns of its weights and its bias
    product       one of its factors, where that has a source
    relu          its input
    attention     its values: query head h reads key head h // ratio
    movement      what it moves; rotations tie the two channels of a pair together

Dividing a source's channels changes the value by known factors and nothing else, as long as
nobody else reads what is divided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.passes.canonicalize.evaluate import evaluate
from intcc.sites import MOVEMENT, LinearSite, constant

__all__ = ["Source", "find_source", "own", "rewrite"]

Index = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]
_ONE_TOKEN = {"batch": 1, "sequence": 1}
_NORMS = ("LayerNormalization", "RMSNormalization")


@dataclass(frozen=True)
class Source:
    """Constants whose channels can be divided.

    Attributes:
        value: the value that they make; its channels lie along the last axis.
        parts: initializers, each with its channels along the last axis.
        index: source channel of every element of one token of the asked value.
        ties: pairs of source channels that must be divided by the same number, [n, 2].
    """

    value: ir.Value
    parts: tuple[ir.Value, ...]
    index: Index
    ties: Index

    @property
    def width(self) -> int:
        """Number of channels."""
        assert self.parts[0].shape is not None
        return int(self.parts[0].shape[-1])  # type: ignore[arg-type]

    def divide(self, factors: Float) -> None:
        """Divide every channel by its factor; those that the asked value lacks must have one."""
        for part in self.parts:
            rewrite(part, np.asarray(constant(part), np.float64) / factors)


def rewrite(value: ir.Value, array: npt.NDArray[Any]) -> None:
    """Give an initializer other elements; they stay float32."""
    value.const_value = ir.tensor(array.astype(np.float32), name=value.name)


def own(node: ir.Node, position: int) -> ir.Value:
    """Return an initializer that nobody else reads: a shared one is copied first."""
    value = node.inputs[position]
    assert value is not None and value.const_value is not None
    if len(value.uses()) == 1:
        return value
    assert node.graph is not None
    names = node.graph.initializers
    name = next(n for i in range(len(names) + 1) if (n := f"{value.name}.own{i}") not in names)
    copy = ir.Value(
        name=name,
        shape=value.shape,
        type=value.type,
        const_value=ir.tensor(np.asarray(value.const_value.numpy()), name=name),
    )
    node.graph.register_initializer(copy)
    node.replace_input_with(position, copy)
    return copy


def find_source(value: ir.Value, sites: dict[str, LinearSite]) -> Source | None:
    """Return what can divide the channels of `value`, which its readers make up for; or None."""
    if str(value.name) in sites:
        return _of_linear(sites[str(value.name)])
    node = value.producer()
    if node is None:
        return None
    if node.op_type in _NORMS:
        return _of_norm(node)
    if node.op_type == "Mul":
        return _of_product(node, sites)
    if node.op_type == "Relu":
        return _of_sole(node.inputs[0], sites)
    if node.op_type == "CausalAttention":
        return _of_attention(node, sites)
    if node.op_type == "RotaryEmbedding":
        return _of_rotation(node, sites)
    if node.op_type in MOVEMENT:
        return _of_movement(node, value, sites)
    return None


def _of_sole(value: ir.Value | None, sites: dict[str, LinearSite]) -> Source | None:
    if value is None or len(value.uses()) != 1 or value.is_graph_output():
        return None
    return find_source(value, sites)


def _of_linear(site: LinearSite) -> Source:
    parts = [own(site.node, 1)]
    if site.bias_node is not None:
        position = next(i for i, v in enumerate(site.bias_node.inputs) if constant(v) is not None)
        parts.append(own(site.bias_node, position))
    width = site.bias.size
    return Source(site.output, tuple(parts), np.arange(width), np.zeros((0, 2), np.int64))


def _of_norm(node: ir.Node) -> Source | None:
    if any(constant(v) is None for v in node.inputs[1:] if v is not None):
        return None
    parts = tuple(own(node, i) for i, v in enumerate(node.inputs) if i > 0 and v is not None)
    shape = parts[0].shape
    if shape is None or len(shape) != 1:
        return None
    width = int(shape[0])  # type: ignore[arg-type]
    return Source(node.outputs[0], parts, np.arange(width), np.zeros((0, 2), np.int64))


def _of_product(node: ir.Node, sites: dict[str, LinearSite]) -> Source | None:
    """Prefer the second factor: the first one of a gated layer went through the gate."""
    a, b = node.inputs
    if a is b or constant(a) is not None or constant(b) is not None:
        return None
    for factor in (b, a):
        found = _of_sole(factor, sites)
        if found is not None:
            return found
    return None


def _of_attention(node: ir.Node, sites: dict[str, LinearSite]) -> Source | None:
    q, v = node.inputs[0], node.inputs[2]
    found = _of_sole(v, sites)
    if found is None or q is None or q.shape is None or found.index.ndim != 2:
        return None
    ratio = int(q.shape[2]) // found.index.shape[0]  # type: ignore[arg-type]
    return Source(found.value, found.parts, np.repeat(found.index, ratio, axis=0), found.ties)


def _of_rotation(node: ir.Node, sites: dict[str, LinearSite]) -> Source | None:
    found = _of_sole(node.inputs[0], sites)
    table = node.inputs[1]
    if found is None or table is None or table.shape is None or found.index.ndim != 2:
        return None
    half = int(table.shape[-1]) // 2  # type: ignore[arg-type]
    pairs = np.stack([found.index[:, :half], found.index[:, half : 2 * half]], -1).reshape(-1, 2)
    return Source(found.value, found.parts, found.index, np.concatenate([found.ties, pairs]))


def _of_movement(node: ir.Node, value: ir.Value, sites: dict[str, LinearSite]) -> Source | None:
    x = node.inputs[0]
    if x is None or node.op_type in ("Concat", "Gather", "Expand") or x.is_graph_output():
        return None
    inner = find_source(x, sites)
    if inner is None:
        return None
    mine = _moved(x, value, inner.index)
    for other in {v for user in x.consumers() for v in user.outputs} - {value}:
        user = other.producer()
        if user is None or user.op_type not in ("Split", "Slice"):
            return None
        if np.intersect1d(_moved(x, other, inner.index), mine).size:
            return None
    return Source(inner.value, inner.parts, mine, inner.ties)


def _moved(x: ir.Value, value: ir.Value, index: Index) -> Index:
    """Send the channel numbers of one token through one movement node."""
    moved = evaluate(value, _ONE_TOKEN, cache={x: index.reshape(1, 1, *index.shape)})
    return np.asarray(moved, np.int64).reshape(moved.shape[2:])
