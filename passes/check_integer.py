"""Check integer: nothing of the INTEGER graph is float, and every operator is known.

Order      last but one; prove_ranges follows.
"""

from __future__ import annotations

import onnx_ir as ir

from intcc.ops import OPERATORS
from intcc.stages import INTEGER, violations

__all__ = ["check_integer"]


def check_integer(model: ir.Model) -> None:
    """Assert the INTEGER grammar; a violation is a bug of the compiler, not of its user."""
    found = violations(model.graph, INTEGER)
    found += [
        f"unknown operator ai.intcc::{node.op_type}"
        for node in model.graph
        if node.domain == "ai.intcc" and node.op_type not in OPERATORS
    ]
    assert not found, "not an integer graph: " + "; ".join(found[:5])
