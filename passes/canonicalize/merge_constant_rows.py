"""Merge constant rows: the segment row joins the table of positions.

    before   Add(Add(x, row [1,1,C]), Slice(table [1,S_max,C]))      in either order
    after    Add(x, Slice(table + row))

Exactness  one float32 rounding per table entry instead of one per token.
Order      after fold_length_tables, which leaves zero segment ids as a constant row.
"""

from __future__ import annotations

import onnx_ir as ir

from intcc.passes.canonicalize.graph import Array, add_initializer, constant, only_user, producer
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
        if found is None:
            return False
        side, row = found
        out = node.outputs[0]
        inner = producer(node.inputs[1 - side], "Add")
        user = only_user(out)
        # The other Add stands behind this one, or before it; either way x + row disappears.
        if user is not None and user.op_type == "Add":
            rows = [v for v in user.inputs if v is not out]
        elif inner is not None and only_user(inner.outputs[0]) is node:
            rows = list(inner.inputs)
        else:
            return False
        for value in rows:
            table_node = producer(value, "Slice")
            if value is None or table_node is None or only_user(value) is None:
                continue
            table = constant(table_node.inputs[0])
            if table is None or not is_table_rows(value):
                continue
            if row.size != row.shape[-1] or row.ndim > table.ndim or row.size != table.shape[-1]:
                continue
            stem = f"{table_node.outputs[0].name}.table"
            table_node.replace_input_with(0, add_initializer(graph, stem, table + row))
            rest = node.inputs[1 - side]
            assert rest is not None
            if out.is_graph_output():
                return False
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
