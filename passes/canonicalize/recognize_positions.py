"""Recognize positions: indices that count tokens depend on the length alone.

    before   Gather(table, CumSum(input_ids != padding) * (input_ids != padding) + padding)
    after    Gather(table, Expand(Range(0, S) + padding + 1))

Every reader of the indices gets the new ones: RoBERTa looks segments up by position too.

RoBERTa and its relatives count positions from the ids; some exports count the mask. The indices
are recognised by their values, on random ids without padding.

Exactness  the same rows at every token. At padding the row differs; padding is masked.
Order      before fold_length_tables, which turns the result into rows of a table.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.evaluate import NotEvaluableError, evaluate, shape_only
from intcc.passes.canonicalize.graph import add_initializer, constant, dims
from intcc.passes.canonicalize.inputs import length_node, main_input

__all__ = ["RecognizePositions"]

#: Ids up to here may be special tokens (padding among them) and are not used as probes.
_SPECIAL = 5


class RecognizePositions(ir.passes.InPlacePass):
    """Look at every Gather from a constant table."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace indices that count tokens."""
        graph = model.graph
        memo: dict[ir.Value, bool] = {}
        changed = False
        for node in list(graph):
            index = node.inputs[1] if node.op_type == "Gather" else None
            if index is None or index.is_graph_input() or constant(node.inputs[0]) is None:
                continue
            if shape_only(index, memo):
                continue
            first = _first_position(index)
            if first is None:
                continue
            zero = add_initializer(graph, "range_start", np.array(first, np.int64))
            one = add_initializer(graph, "range_step", np.array(1, np.int64))
            axes = add_initializer(graph, "range_axes", np.array([0], np.int64))
            length = ir.node("Squeeze", [length_node(graph, node)])
            end = ir.node("Add", [length.outputs[0], zero])
            counted = ir.node("Range", [zero, end.outputs[0], one])
            made = [length, end, counted]
            if len(dims(index)) == 2:
                row = ir.node("Unsqueeze", [counted.outputs[0], axes])
                shape = ir.node("Shape", [main_input(graph)])
                made += [row, shape, ir.node("Expand", [row.outputs[0], shape.outputs[0]])]
            graph.insert_after(graph[0], made)
            ir.convenience.replace_all_uses_with(index, made[-1].outputs[0])
            for new in made:
                new.outputs[0].type = ir.TensorType(ir.DataType.INT64)
            memo.clear()
            changed = True
        return ir.passes.PassResult(model, changed)


def _first_position(index: ir.Value) -> int | None:
    """Return p where the indices are p, p + 1, p + 2, ... for every row."""
    generator = np.random.default_rng(0)
    first: int | None = None
    for batch, length in ((2, 7), (3, 11)):
        ids = generator.integers(_SPECIAL, 4 * _SPECIAL, (batch, length))
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        try:
            got = evaluate(index, {"batch": batch, "sequence": length}, feeds)
        except NotEvaluableError:
            return None
        if got.shape not in ((batch, length), (length,)) or got.dtype.kind != "i":
            return None
        start = int(got.reshape(-1)[0])
        if not (got == np.arange(start, start + length)).all() or first not in (None, start):
            return None
        first = start
    return first
