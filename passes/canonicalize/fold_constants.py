"""Fold constants, of any size: what needs no input and no length is computed now.

    before   Transpose(weight), Sqrt(Cast(Shape(x)[3:4])), Unsqueeze(1.0), ...
    after    an initializer

A value may pass through `Shape` and still be constant (the width of a layer): it is computed at
several batches and lengths, and folded when all agree.

Exactness  numpy in the types of the graph. Integer arithmetic on shapes is exact.
Order      with resolve_shapes, until nothing changes; before every idiom, so that scales and
           epsilons are plain numbers.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.evaluate import (
    BINDINGS,
    NotEvaluableError,
    evaluate,
    shape_only,
)
from intcc.passes.canonicalize.graph import Array, add_initializer
from intcc.passes.canonicalize.tables import is_table_rows

__all__ = ["FoldConstants"]

#: Constants above this are compared only when a Shape is involved; others cannot differ.
_KEEP = frozenset({"Shape"})


class FoldConstants(ir.passes.InPlacePass):
    """Replace constant values by initializers."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold in order, so that each step meets folded inputs."""
        graph = model.graph
        memo: dict[ir.Value, bool] = {}
        changed = False
        for node in list(graph):
            if not node.outputs or not any(out.consumers() for out in node.outputs):
                continue
            # An output of the graph must stay the result of a node.
            if any(out.is_graph_output() for out in node.outputs):
                continue
            # Rows of a table that is shorter than the probes would look constant.
            if is_table_rows(node.outputs[0]):
                continue
            if not all(shape_only(out, memo) for out in node.outputs):
                continue
            arrays = self._agreed(node)
            if arrays is None:
                continue
            for out, array in zip(node.outputs, arrays, strict=True):
                new = add_initializer(graph, f"{out.name}.constant", array)
                ir.convenience.replace_all_uses_with(out, new)
                memo[new] = True
            graph.remove(node, safe=True)
            changed = True
        return ir.passes.PassResult(model, changed)

    @staticmethod
    def _agreed(node: ir.Node) -> list[Array] | None:
        """Compute the node's outputs; None where they depend on the extents."""
        constant_inputs = all(x is None or x.const_value is not None for x in node.inputs)
        bindings = BINDINGS[:1] if constant_inputs and node.op_type not in _KEEP else BINDINGS
        first: list[Array] | None = None
        try:
            for binding in bindings:
                arrays = [evaluate(out, binding) for out in node.outputs]
                if first is None:
                    first = arrays
                elif not all(np.array_equal(a, b) for a, b in zip(first, arrays, strict=True)):
                    return None
        except NotEvaluableError:
            return None
        return first
