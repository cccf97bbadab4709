"""Tabulate: element-wise integer work on a small range becomes one look-up.

    before   x in [0, n] -> Mul -> Div -> Sub -> ... -> y        constants: scalars or channels
    after    [0, 1, ... n] -> Mul -> Div -> Sub -> ... -> table  once, when the model is loaded
             x -> Reshape -> GatherElements(table) -> Reshape -> y

The nodes stay as they are and now compute the table, so the formula exists once. The look-up
costs onnxruntime about as much as one division (GatherElements 0.75 ns an element with one table,
1.2 ns with one per channel, and 1.7 out of the third cache, Div 0.7 ns; Gather 12 ns): a
chain that costs less stays as it is. Channels often have the same constants, as grids have few
knees: one table for each set of constants, one behind the other, stays in the first cache, and
x + offset[channel] is the place in it.

Exactness  the same nodes on the same numbers.
Order      after fold (constants are initializers), before the last share and fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.onnx.insertion import Insertion
from intcc.backends.onnx.ranges import Range, value_ranges

__all__ = ["LARGEST_CHANNELS", "LARGEST_TABLE", "tabulate"]

#: Most entries of a table, and of all channels' tables of one value.
LARGEST_TABLE, LARGEST_CHANNELS = 2**17, 2**20

#: Nanoseconds an element on one x86 thread, for results of 1, 2, 4 and 8 bytes.
_SIMPLE = {1: 0.06, 2: 0.07, 4: 0.15, 8: 0.3}
#: The same as a multiple of the cost of an addition; Div, shifts and bit logic do not vectorise.
_FACTORS = {"Add": 1.0, "Sub": 1.0, "Min": 1.0, "Max": 1.0, "Abs": 1.0, "Neg": 1.0, "Cast": 1.0,
            "Mul": 1.3, "Clip": 1.7}  # fmt: skip
_FIXED = {"Div": 0.7, "BitShift": 0.43, "BitwiseAnd": 0.6, "BitwiseOr": 0.6, "BitwiseXor": 0.6}
_ROW_LOOKUP, _CHANNEL_LOOKUP = 0.75, 1.2
_INDEX_TYPES = (ir.DataType.INT32, ir.DataType.INT64)


@dataclass(frozen=True)
class _Groups:
    """Channels with equal constants.

    Attributes:
        first: a channel of each group.
        group: the group of each channel.
    """

    first: npt.NDArray[np.int64]
    group: npt.NDArray[np.int64]


@dataclass
class _Region:
    """What follows from one value element by element.

    Attributes:
        source: the value.
        largest: its bound; the smallest is at least 0.
        nodes: in graph order.
        outputs: values that other nodes read.
    """

    source: ir.Value
    largest: int
    nodes: list[ir.Node]
    outputs: list[ir.Value]

    def needed(self, output: ir.Value) -> list[ir.Node]:
        """Nodes that an output depends on."""
        values, kept = {output}, []
        for node in reversed(self.nodes):
            if values.intersection(node.outputs):
                kept.append(node)
                values.update(v for v in node.inputs if v is not None)
        return kept[::-1]

    def constants(self, output: ir.Value) -> list[ir.Value]:
        """Constants of more than one element that an output depends on."""
        values = (v for n in self.needed(output) for v in n.inputs if v is not None)
        return list(dict.fromkeys(v for v in values if _constant_size(v) > 1))

    def channels(self, output: ir.Value) -> int:
        """Length of the constants that an output depends on, 1 where all are scalars."""
        return max(map(_constant_size, self.constants(output)), default=1)

    def groups(self, output: ir.Value) -> _Groups | None:
        """Sets of channels with equal constants, None where their tables are too many."""
        constants = [_array(v).reshape(-1).astype(np.int64) for v in self.constants(output)]
        if not constants:
            return None
        _, first, group = np.unique(
            np.stack(constants), axis=1, return_index=True, return_inverse=True
        )
        if first.size * (self.largest + 1) > LARGEST_TABLE:
            return None
        return _Groups(first, group.reshape(-1))


def tabulate(model: ir.Model, proved: Mapping[str, Range] = MappingProxyType({})) -> int:
    """Replace what pays; return the number of look-ups. Shapes must be inferred.

    Args:
        model: flat.
        proved: ranges of values by name, from the proof of the dialect.
    """
    graph = model.graph
    graph.sort()
    ranges = value_ranges(graph, proved)
    position = {node: index for index, node in enumerate(graph)}
    made = 0
    for value in [*graph.inputs, *(v for node in list(graph) for v in node.outputs)]:
        if value in ranges and (value.producer() is None or value.producer() in position):
            region = _grow(value, ranges[value], position)
            if region is not None and _pays(region):
                made += len(region.outputs)
                _replace(graph, region)
                for node in region.nodes:
                    position.pop(node)
    return made


def _constant_size(value: ir.Value | None) -> int:
    return 0 if value is None or value.const_value is None else int(value.const_value.size)


def _grow(source: ir.Value, limits: Range, position: dict[ir.Node, int]) -> _Region | None:
    shape, (least, largest) = source.shape, limits
    if shape is None or len(shape) == 0 or shape[-1] == 1 or source.const_value is not None:
        return None
    if least < 0 or largest >= LARGEST_TABLE:
        return None
    inside, nodes, pending = {source}, set[ir.Node](), [source]
    while pending:
        for use in pending.pop().uses():
            node = use.node
            if node in nodes or node not in position or not _elementwise(node):
                continue
            if all(v in inside or _fits(v, shape[-1]) for v in node.inputs):
                nodes.add(node)
                inside.update(node.outputs)
                pending.extend(node.outputs)
    ordered = sorted(nodes, key=lambda node: position[node])
    outputs = [
        v for node in ordered for v in node.outputs if any(u.node not in nodes for u in v.uses())
    ]
    return _Region(source, largest, ordered, outputs) if outputs else None


def _elementwise(node: ir.Node) -> bool:
    return not node.domain and (node.op_type in _FACTORS or node.op_type in _FIXED)


def _fits(value: ir.Value | None, width: object) -> bool:
    """Tell whether a value is a constant that broadcasts to rows of `width` elements."""
    if value is None or value.const_value is None or len(value.const_value.shape) > 1:
        return False
    return value.const_value.size == 1 or int(value.const_value.size) == width


def _cost(node: ir.Node) -> float:
    dtype = node.outputs[0].dtype
    width = _SIMPLE.get(int(dtype.itemsize) if dtype is not None else 4, 0.15)
    return _FIXED.get(node.op_type, _FACTORS.get(node.op_type, 0.0) * width)


def _pays(region: _Region) -> bool:
    cost = 0.0 if region.source.dtype in _INDEX_TYPES else _SIMPLE[4]
    for output in region.outputs:
        channels = region.channels(output)
        if output.is_graph_output() or (region.largest + 1) * channels > LARGEST_CHANNELS:
            return False
        if channels == 1:
            cost += _ROW_LOOKUP
        elif region.groups(output) is not None:
            cost += _SIMPLE[4] + _ROW_LOOKUP
        else:
            cost += _CHANNEL_LOOKUP
    return cost < sum(_cost(node) for node in region.nodes)


def _table(new: Insertion, region: _Region, output: ir.Value, groups: _Groups | None) -> ir.Value:
    """Append clones of the nodes that compute `output`, for every number that x can be.

    Returns [1, n] where all channels share it, [groups, n] or [n, channels].
    """
    source, down = region.source, groups is None and region.channels(output) > 1
    assert source.dtype is not None
    numbers = np.arange(region.largest + 1).astype(source.dtype.numpy())
    numbers = numbers[:, None] if down else numbers[None]
    label = f"every_{source.dtype.name.lower()}_{region.largest}_{'column' if down else 'row'}"
    known = {source: new.constant(label, numbers)}
    if groups is not None:
        for value in region.constants(output):
            distinct = _array(value).reshape(-1)[groups.first, None]
            known[value] = new.constant(f"{value.name}_of_{output.name}_groups", distinct)
    for node in region.needed(output):
        clone = ir.Node(
            node.domain,
            node.op_type,
            [v if v is None else known.get(v, v) for v in node.inputs],
            list(node.attributes.values()),
            outputs=[
                ir.Value(name=f"{v.name}_of_{output.name}_table", type=v.type) for v in node.outputs
            ],
            name=f"{node.name}_of_{output.name}_table",
        )
        new.nodes.append(clone)
        known.update(zip(node.outputs, clone.outputs, strict=True))
    return known[output]


def _array(value: ir.Value) -> npt.NDArray[Any]:
    assert value.const_value is not None
    return value.const_value.numpy()


def _replace(graph: ir.Graph, region: _Region) -> None:
    source, inside = region.source, set(region.nodes)
    new = Insertion(graph, region.nodes[0])
    index = source
    if source.dtype not in _INDEX_TYPES:
        index = new.add("Cast", [source], f"{source.name}_index", to=ir.DataType.INT32.value)
    shape = new.add("Shape", [source], f"{source.name}_shape")
    row = new.constant("flat_rows", np.array([1, -1], np.int64))
    for output in region.outputs:
        name, groups = str(output.name), region.groups(output)
        table, flat, place = _table(new, region, output, groups), row, index
        if groups is not None:
            table = new.add("Reshape", [table, row], f"{name}_tables")
            offsets = (groups.group * (region.largest + 1)).astype(_index_type(source).numpy())
            offset = new.constant(f"{name}_offsets", offsets)
            place = new.add("Add", [index, offset], f"{name}_places")
        elif (channels := region.channels(output)) > 1:
            flat = new.constant(f"flat_{channels}", np.array([-1, channels], np.int64))
        numbered = new.add("Reshape", [place, flat], f"{name}_indices")
        axis = 1 if flat is row else 0
        found = new.add("GatherElements", [table, numbered], f"{name}_found", axis=axis)
        result = new.add("Reshape", [found, shape], f"{name}_looked_up")
        result.type, result.shape = output.type, output.shape
        for use in list(output.uses()):
            if use.node not in inside:
                use.node.replace_input_with(use.idx, result)
    graph.insert_after(region.nodes[-1], new.nodes)


def _index_type(source: ir.Value) -> ir.DataType:
    return source.dtype if source.dtype in _INDEX_TYPES else ir.DataType.INT32
