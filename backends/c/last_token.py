"""Last token: a text generator computes its logits for the last token of a call, and for no other.

    before   x [batch, sequence, C] -> row-wise nodes -> logits [batch, sequence, V]
    after    x -> Slice(-1) [batch, 1, C] -> the same nodes -> logits [batch, 1, V]

A node is row-wise if row i of its results depends on row i of its operands alone, rows being those
of axis 1. From the logits backwards, nodes whose results nobody reads but such nodes are turned;
their operands from elsewhere are cut to the last row. In a decoder that is all that the last layer
does behind its keys and values: the queries too, as the last of n queries in a cache of `total`
tokens stands at `total - 1`, whatever n is.

Exactness  the row that is left has the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from intcc.backends.c.fuse import DIALECT
from intcc.backends.c.state import is_cache
from intcc.specs import LOGITS

__all__ = ["generates_text", "keep_last_token"]

_AXIS = 1
_TOKENS = "sequence"
#: Operators of the dialect that are row-wise in all operands but constants.
_ROW_WISE = frozenset(
    """Add Affine DynamicQuantize Gelu GeluWide L2Normalize LayerNorm Linear LinearDynamic
    LinearDynamicFull LinearWide Product Quantize RMSNorm Relu Rescale Rotary SaturatingAdd Sigmoid
    Silu Softmax Tanh Widen""".split()
)
#: Attention over a cache: row-wise in its queries.
_CACHED = frozenset(("CachedAttention", "CachedAttentionCapped"))


def generates_text(model: ir.Model) -> bool:
    """Tell whether a graph continues texts: it has caches, and logits of a vocabulary."""
    return (
        model.metadata_props.get("intcc.task") == "text-generation"
        and any(is_cache(v) for v in model.graph.inputs)
        and [v.name for v in model.graph.outputs if not is_cache(v)] == [LOGITS]
    )


def _has_rows(value: ir.Value) -> bool:
    """Whether the tokens lie along axis 1 and nowhere else."""
    names = [] if value.shape is None else [str(getattr(d, "value", d)) for d in value.shape]
    return names.count(_TOKENS) == 1 and len(names) > _AXIS and names[_AXIS] == _TOKENS


def _constants(value: ir.Value | None) -> list[int] | None:
    if value is None or value.const_value is None:
        return None
    return [int(v) for v in np.ravel(value.const_value.numpy())]


def _moves_within_rows(node: ir.Node) -> bool:
    """Whether a movement leaves the batch and the tokens where they are."""
    rank = len(node.inputs[0].shape or ()) if node.inputs[0] is not None else 0
    match node.op_type:
        case "Cast" | "Identity":
            return True
        case "Reshape":
            target = _constants(node.inputs[1])
            allowed = not node.attributes.get_int("allowzero", 0)
            return allowed and target is not None and target[_AXIS : _AXIS + 1] in ([0], [-1])
        case "Transpose":
            return tuple(node.attributes.get_ints("perm", ()))[:2] == (0, _AXIS)
        case "Split" | "Concat":
            return node.attributes.get_int("axis", 0) % max(rank, 1) > _AXIS
        case "Slice":
            axes = _constants(node.inputs[3]) if len(node.inputs) > 3 else None
            return axes is not None and all(axis % rank > _AXIS for axis in axes)
    return False


def _operands(node: ir.Node) -> list[int] | None:
    """Return the operands that carry rows; None for a node that is not row-wise."""
    if not all(_has_rows(v) for v in node.outputs):
        return None
    if node.domain == DIALECT and node.op_type in _CACHED:
        return [0]
    known = node.op_type in _ROW_WISE if node.domain == DIALECT else _moves_within_rows(node)
    if not known:
        return None
    carrying = [
        i for i, v in enumerate(node.inputs) if v is not None and _TOKENS in str(v.shape or "")
    ]
    rows = [v for i in carrying if (v := node.inputs[i]) is not None]
    return carrying if all(map(_has_rows, rows)) else None


def _turned(graph: ir.Graph, logits: ir.Value) -> dict[ir.Node, list[int]]:
    """Return the nodes that are left with one row, and their operands that carry rows."""
    found: dict[ir.Node, list[int]] = {}
    for node in reversed(list(graph)):
        read = [use.node for value in node.outputs for use in value.uses()]
        kept = [v for v in node.outputs if v.is_graph_output() and v is not logits]
        if kept or not all(reader in found for reader in read):
            continue
        if read or logits in node.outputs:
            operands = _operands(node)
            if operands is not None:
                found[node] = operands
    return found


def _one_row(values: Iterable[ir.Value]) -> None:
    for value in values:
        assert value.shape is not None
        value.shape = ir.Shape([1 if i == _AXIS else d for i, d in enumerate(value.shape)])


def keep_last_token(model: ir.Model) -> ir.Model:
    """Return the model with logits [batch, 1, V] of the last token; the given one stays as it is.

    Raises:
        ValueError: the logits have no rows of tokens; see `generates_text`.
    """
    made = model.clone()
    graph = made.graph
    for old, new in zip(model.graph.outputs, graph.outputs, strict=True):
        new.meta.update(old.meta)
    index = next(i for i, v in enumerate(graph.outputs) if v.name == LOGITS)
    logits = graph.outputs[index]
    if not _has_rows(logits):
        raise ValueError(f"logits of shape {logits.shape} have no rows of tokens")
    turned = _turned(graph, logits)
    bounds = [_constant(graph, name, [value]) for name, value in _BOUNDS]
    cuts: dict[ir.Value, ir.Value] = {}

    def cut(value: ir.Value) -> ir.Value:
        """Return the last row of a value; its node stands right behind the value's own."""
        if value not in cuts:
            node = ir.Node("", "Slice", [value, *bounds], name=f"{value.name}.last")
            result = node.outputs[0]
            result.name, result.type, result.shape = f"{value.name}.last", value.type, value.shape
            _one_row([result])
            producer = value.producer()
            if producer is None:
                graph.insert_before(graph[0], node)
            else:
                node.metadata_props.update(producer.metadata_props)
                graph.insert_after(producer, node)
            cuts[value] = result
        return cuts[value]

    for node, operands in turned.items():
        for i in operands:
            value = node.inputs[i]
            assert value is not None
            if value.producer() not in turned:
                node.replace_input_with(i, cut(value))
    for node in turned:
        _one_row(node.outputs)
    if logits.producer() not in turned:
        last = cut(logits)
        last.meta.update(logits.meta)
        last.metadata_props.update(logits.metadata_props)
        logits.name, last.name = f"{LOGITS}.all", LOGITS
        graph.outputs[index] = last
    return made


#: Slice from the last row to the end, along the tokens.
_BOUNDS = (("last.start", -1), ("last.end", 2**63 - 1), ("last.axis", _AXIS))


def _constant(graph: ir.Graph, name: str, elements: list[int]) -> ir.Value:
    array = np.array(elements, np.int64)
    value = ir.Value(
        name=name,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(ir.DataType.INT64),
        const_value=ir.tensor(array, name=name),
    )
    graph.register_initializer(value)
    return value
