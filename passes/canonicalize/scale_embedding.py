"""Scale embedding: a constant factor on looked-up rows moves into the table.

    before   Mul(Gather(table, input_ids), 7.75)          Gemma: the square root of the width
    after    Gather(table * 7.75, input_ids)

Exactness  the same float32 products, computed once.
Order      after constants are folded. A tied head keeps its own, unscaled copy of the table.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.graph import (
    add_initializer,
    constant,
    only_user,
    producer,
    replace,
    scalar,
)

__all__ = ["ScaleEmbedding"]


class ScaleEmbedding(ir.passes.InPlacePass):
    """Look at every product with a number."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite where the rows have no other reader."""
        graph, changed = model.graph, False
        for node in list(graph):
            if node.op_type != "Mul":
                continue
            for side in (0, 1):
                rows, factor = producer(node.inputs[side], "Gather"), scalar(node.inputs[1 - side])
                table = constant(rows.inputs[0]) if rows is not None else None
                if rows is None or factor is None or table is None:
                    continue
                if only_user(rows.outputs[0]) is not node or table.dtype != np.float32:
                    continue
                scaled = add_initializer(graph, f"{node.name}.table", table * np.float32(factor))
                rows.replace_input_with(0, scaled)
                replace(graph, node.outputs[0], rows.outputs[0])
                graph.remove(node, safe=True)
                changed = True
                break
        return ir.passes.PassResult(model, changed)
