"""Check the grammar: what is left must be canonical, or the user is told what is not.

Order      last.
"""

from __future__ import annotations

from difflib import get_close_matches

import onnx_ir as ir

from intcc.errors import UnsupportedOperatorError
from intcc.passes.canonicalize.graph import dims
from intcc.stages import FLOAT

__all__ = ["CheckGrammar"]


class CheckGrammar(ir.passes.InPlacePass):
    """Raise for the first operator that the FLOAT grammar does not have."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Visit all nodes.

        Raises:
            UnsupportedOperatorError: names the node, its shape and the nearest supported ones.
        """
        for node in model.graph:
            allowed = FLOAT.operators.get(node.domain, frozenset())
            if allowed is None or node.op_type in allowed:
                continue
            shape = dims(node.inputs[0]) if node.inputs else []
            extents = ", ".join("?" if d is None else str(d) for d in shape)
            kind = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
            standard = sorted(FLOAT.operators[""] or ())
            nearest = get_close_matches(node.op_type, standard, n=3, cutoff=0.3)
            raise UnsupportedOperatorError(
                f"{kind} '{node.name or node.outputs[0].name}' of shape [{extents}]",
                "has no integer rule",
                f"Nearest supported: {', '.join(nearest) or 'none'}; `intcc ops` lists all",
            )
        return ir.passes.PassResult(model, False)
