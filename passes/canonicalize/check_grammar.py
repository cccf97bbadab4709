"""Check the grammar: what is left must be canonical, or the user is told what is not.

    (C1) every operator is one of intcc.stages.FLOAT
    (C2) every value has a type and a shape; its dimensions are numbers, "batch" or "sequence"

Order      last.
"""

from __future__ import annotations

import onnx_ir as ir

from intcc.errors import ModelError, UnsupportedOperatorError
from intcc.passes.canonicalize.graph import dims
from intcc.stages import FLOAT, supported_ones

__all__ = ["CheckGrammar"]


class CheckGrammar(ir.passes.InPlacePass):
    """Raise for the first node or value that the FLOAT grammar does not have."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Visit all nodes.

        Raises:
            UnsupportedOperatorError: C1; names the node, its shape and the nearest supported ones.
            ModelError: C2; names the value and the node.
        """
        for node in model.graph:
            _check_operator(node)
        for node in model.graph:
            for out in node.outputs:
                if out.dtype is None or out.shape is None or not _known(out):
                    raise ModelError(
                        f"Value '{out.name}' of {node.op_type} '{node.name}'",
                        f"has no shape of known extents, batch and sequence ({out.shape})",
                        "Export the model with all other axes fixed, or report it to us",
                    )
        return ir.passes.PassResult(model, False)


def _check_operator(node: ir.Node) -> None:
    allowed = FLOAT.operators.get(node.domain, frozenset())
    if allowed is None or node.op_type in allowed:
        return
    shape = dims(node.inputs[0]) if node.inputs else []
    extents = ", ".join("?" if d is None else str(d) for d in shape)
    kind = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    raise UnsupportedOperatorError(
        f"{kind} '{node.name or node.outputs[0].name}' of shape [{extents}]",
        "has no integer rule",
        supported_ones(node.op_type, FLOAT.operators[""] or ()),
    )


def _known(value: ir.Value) -> bool:
    return all(isinstance(d, int) or d in ("batch", "sequence") for d in dims(value))
