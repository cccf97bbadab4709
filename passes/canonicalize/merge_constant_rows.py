"""Merge constant rows: the segment row joins the table of positions.

    before   Add(Add(x, row [1,1,C]), Slice(table [1,S_max,C]))      in either order
    after    Add(x, Slice(table + row))

Exactness  one float32 rounding per table entry instead of one per token.
Order      after fold_length_tables, which leaves zero segment ids as a constant row.
"""

from __future__ import annotations

import onnx_ir as ir

from intcc.passes.canonicalize.graph import (
    Array,
    add_initializer,
    constant,
    dims,
    only_user,
    producer,
)
from intcc.passes.canonicalize.tables import is_table_rows

__all__ = ["MergeConstantRows"]


class MergeConstantRows(ir.passes.InPlacePass):
    """Remove Adds of a constant next to an Add of position rows."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at every Add of a constant."""
        changed = False
        for node in list(model.graph):
            if node.op_type == "Add":
                changed |= self._merge(model.graph, node)
        return ir.passes.PassResult(model, changed)

    @staticmethod
    def _merge(graph: ir.Graph, node: ir.Node) -> bool:
        found = _constant_operand(node)
        out = node.outputs[0]
        if found is None or out.is_graph_output():
            return False
        side, row = found
        rest = node.inputs[1 - side]
        if rest is None or row.ndim > len(dims(rest)) or row.shape[-1:] != (row.size,):
            return False
        # The other Add stands behind this one or before it; either way rest + row disappears.
        inner, user = producer(rest, "Add"), only_user(out)
        candidates: list[ir.Value | None] = []
        if user is not None and user.op_type == "Add":
            candidates += [v for v in user.inputs if v is not out]
        if inner is not None and only_user(inner.outputs[0]) is node:
            candidates += inner.inputs
        for value in candidates:
            rows = producer(value, "Slice")
            if rows is None or not is_table_rows(value) or only_user(rows.outputs[0]) is None:
                continue
            table = constant(rows.inputs[0])
            if table is None or table.shape[-1] != row.size:
                continue
            joined = add_initializer(graph, f"{rows.name}.table", table + row.reshape(-1))
            rows.replace_input_with(0, joined)
            ir.convenience.replace_all_uses_with(out, rest)
            graph.remove(node, safe=True)
            return True
        return False


def _constant_operand(node: ir.Node) -> tuple[int, Array] | None:
    for side in (0, 1):
        array = constant(node.inputs[side])
        if array is not None:
            return side, array
    return None
