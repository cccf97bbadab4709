"""Rows of constant tables: the canonical form of values that depend on the length alone.

Slice(table [.., S_max, ..], 0, S, axis), S = Shape(input_ids)[1:2]    marked intcc.table
Expand(constant, extents), extents from Shape(input)                   marked intcc.table
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from intcc.errors import ModelError
from intcc.passes.canonicalize.graph import (
    Array,
    add_initializer,
    as_shape,
    constant,
    insert_before,
)
from intcc.passes.canonicalize.inputs import length_node, main_input

__all__ = ["MARK", "expand_to", "is_table_rows", "slice_rows"]

#: Marks a node of the canonical form, so that it is not folded again.
MARK = "intcc.table"


def is_table_rows(value: ir.Value | None) -> bool:
    """Tell whether `value` has one of the two forms."""
    node = None if value is None else value.producer()
    return (
        node is not None
        and node.op_type in ("Slice", "Expand")
        and constant(node.inputs[0]) is not None
        and node.metadata_props.get(MARK) == "1"
    )


def slice_rows(
    graph: ir.Graph, anchor: ir.Node, name: str, table: Array, axes: Sequence[int]
) -> ir.Value:
    """Register `table` and return its first S rows along `axes`, or itself without axes."""
    new = add_initializer(graph, f"{name}.table", table)
    if not axes:
        return new
    ends = length_node(graph, anchor)
    if len(axes) > 1:
        joined = ir.node("Concat", [ends] * len(axes), {"axis": 0})
        insert_before(anchor, [joined])
        ends = joined.outputs[0]
        ends.type, ends.shape = ir.TensorType(ir.DataType.INT64), ir.Shape([len(axes)])
    zeros = add_initializer(graph, "table_starts", np.zeros(len(axes), np.int64))
    index = add_initializer(graph, "table_axes", np.array(axes, np.int64))
    node = ir.node("Slice", [new, zeros, ends, index])
    node.metadata_props[MARK] = "1"
    insert_before(anchor, [node])
    rows = node.outputs[0]
    node.name = rows.name = f"{name}.rows"
    rows.type = ir.TensorType(ir.DataType.FLOAT)
    rows.shape = as_shape(["sequence" if a in axes else d for a, d in enumerate(table.shape)])
    return rows


def expand_to(
    graph: ir.Graph, anchor: ir.Node, x: ir.Value, extents: Sequence[int | str | None]
) -> ir.Value:
    """Broadcast x explicitly to `extents`, such as [batch, 1, C] for a class token.

    Raises:
        ModelError: an extent is neither a number, batch nor sequence.
    """
    parts: list[ir.Value] = []
    for dim in extents:
        if isinstance(dim, int):
            parts.append(add_initializer(graph, "extent", np.array([dim], np.int64)))
            continue
        axis = {"batch": 0, "sequence": 1}.get(str(dim))
        if axis is None:
            raise ModelError(
                f"Value '{x.name}'",
                f"has an extent '{dim}' that is neither batch nor sequence",
                "Report the model to us",
            )
        part = ir.node("Shape", [main_input(graph)], {"start": axis, "end": axis + 1})
        insert_before(anchor, [part])
        part.outputs[0].type, part.outputs[0].shape = _int64(1)
        parts.append(part.outputs[0])
    shape = ir.node("Concat", parts, {"axis": 0})
    expand = ir.node("Expand", [x, shape.outputs[0]])
    expand.metadata_props[MARK] = "1"
    insert_before(anchor, [shape, expand])
    shape.outputs[0].type, shape.outputs[0].shape = _int64(len(parts))
    expand.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    expand.outputs[0].shape = as_shape(extents)
    return expand.outputs[0]


def _int64(size: int) -> tuple[ir.TensorType, ir.Shape]:
    return ir.TensorType(ir.DataType.INT64), ir.Shape([size])
