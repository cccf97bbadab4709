"""Free the extents: a graph exported for one batch and one length serves all up to that length.

    before   input_ids [2, 13];  x [2, 13, C] + table [1, 13, C];  Reshape(x, [2, 13, 60])
    after    input_ids [batch, sequence];  x + Slice(table, 0, S);  Reshape(x, [0, 0, 60])

Constants that a fixed export has folded are cut to the length again: a constant that is added to
tokens and differs between them is a table of positions, from which a shorter input takes the
first rows. Batch rows of a constant must be equal.

Exactness  at the exported length nothing changes. At a shorter one the result is that of the
           exported graph on the padded input, since masks hide padding.
Order      after all idioms, whose canonical masks already follow the inputs' extents.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.errors import ModelError
from intcc.passes.canonicalize.graph import (
    Array,
    add_initializer,
    constant,
    dims,
    int_list,
)
from intcc.passes.canonicalize.inputs import main_input
from intcc.passes.canonicalize.tables import expand_to, slice_rows

__all__ = ["FreeExtents"]

_ELEMENTWISE = {"Add", "Sub", "Mul", "Div", "Where"}


class FreeExtents(ir.passes.InPlacePass):
    """Rewrite targets and constants, name the inputs' axes, and forget the fixed shapes."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Do nothing where the axes are free already."""
        graph = model.graph
        source = main_input(graph)
        extents = dims(source)
        text = len(extents) == 2
        batch = extents[0] if extents and isinstance(extents[0], int) else None
        length = extents[1] if text and isinstance(extents[1], int) else None
        if batch is None and length is None:
            return ir.passes.PassResult(model, False)
        for node in list(graph):
            if node.op_type == "Reshape":
                _free_target(graph, node, batch, length)
            elif node.op_type in _ELEMENTWISE or node.op_type == "Attention":
                _free_operands(graph, node, batch, length)
            elif node.op_type == "Concat":
                _free_joined(graph, node, batch)
        if length is not None:
            model.metadata_props["intcc.max_positions"] = str(length)
        for value in graph.inputs:
            fixed = dims(value)
            value.shape = ir.Shape(["batch", "sequence" if text else fixed[1], *fixed[2:]])
        for node in graph:
            for out in node.outputs:
                out.shape = None
        return ir.passes.PassResult(model, True)


def _free_target(graph: ir.Graph, node: ir.Node, batch: int | None, length: int | None) -> None:
    target, given = int_list(node.inputs[1]), dims(node.inputs[0])
    if target is None:
        return
    for axis, extent in enumerate((batch, length)):
        if extent is None or axis >= min(len(target), len(given)):
            continue
        if target[axis] == extent == given[axis]:
            target[axis] = 0
    name = f"{node.outputs[0].name}_shape"
    node.replace_input_with(1, add_initializer(graph, name, np.array(target, np.int64)))


def _one_batch_row(table: Array, name: str) -> Array:
    """Return row 0 of the first axis; all rows must be equal.

    Raises:
        ModelError: they are not.
    """
    if not (table == table[:1]).all():
        raise ModelError(
            f"Constant '{name}'",
            "differs between the samples of the batch that the model was exported for",
            "Export the model with batch 1 or a free batch axis",
        )
    return table[:1]


def _free_operands(graph: ir.Graph, node: ir.Node, batch: int | None, length: int | None) -> None:
    """Cut constants that span the batch or the tokens of the node's result."""
    rank = len(dims(node.outputs[0]))
    for index, operand in enumerate(node.inputs):
        table = constant(operand)
        if operand is None or table is None or table.ndim < 2:
            continue
        bias = table.ndim == 4 and node.op_type in ("Attention", "Where")
        name = str(operand.name)
        if batch is not None and table.ndim == rank and table.shape[0] == batch > 1:
            table = _one_batch_row(table, name)
        axes: list[int] = []
        if length is not None and bias and table.shape[-2:] == (length, length):
            axes = [2, 3]
        elif length is not None and rank == 3 and table.shape[-2] == length > 1:
            axes = [table.ndim - 2]
            if (table == table.take([0], axis=axes[0])).all():
                table, axes = table.take([0], axis=axes[0]), []
        if axes or table.shape != constant(operand).shape:  # type: ignore[union-attr]
            rows = slice_rows(graph, node, name, table, axes)
            node.replace_input_with(index, rows)
            if node.metadata_props.get("intcc.position_bias") == name:
                node.metadata_props["intcc.position_bias"] = str(rows.name)
        if bias and node.op_type == "Where":
            for user in node.outputs[0].consumers():
                if user.metadata_props.get("intcc.position_bias") == name:
                    user.metadata_props["intcc.position_bias"] = str(node.inputs[index].name)  # type: ignore[union-attr]


def _free_joined(graph: ir.Graph, node: ir.Node, batch: int | None) -> None:
    """Expand a constant that is joined to tokens (a class token) to any batch."""
    rank = len(dims(node.outputs[0]))
    if batch is None or rank != 3 or node.attributes.get_int("axis") not in (1, -2):
        return
    for index, operand in enumerate(node.inputs):
        table = constant(operand)
        if operand is not None and table is not None and table.shape[0] == batch:
            row = _one_batch_row(table, str(operand.name))
            new = add_initializer(graph, str(operand.name), row)
            expanded = expand_to(graph, node, new, ["batch", *row.shape[1:]])
            node.replace_input_with(index, expanded)
