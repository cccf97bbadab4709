"""Remove dead: nodes, functions and constants that no result depends on.

Exactness  the results do not change. Graph inputs stay, they are the model's interface.
Order      after the idioms, which leave what they replaced without readers.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

__all__ = ["RemoveDead"]


class RemoveDead(ir.passes.InPlacePass):
    """Remove what has no reader, and what the exporter wrote about itself."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run onnx_ir's passes, then drop unread initializers."""
        modified = bool(common.RemoveUnusedNodesPass()(model).modified)
        used = {node.op_identifier() for node in model.graph}
        for identifier in [key for key in model.functions if key not in used]:
            del model.functions[identifier]
        for name, value in list(model.graph.initializers.items()):
            if not value.consumers() and not value.is_graph_output():
                del model.graph.initializers[name]
                modified = True
        return ir.passes.PassResult(model, modified)
