"""Upgrade the opset: files of opset 17 upwards are read as opset 23.

    before   ReduceMean <axes = [-1]> (x)          opset 17: axes of most reductions an attribute
    after    ReduceMean (x, [-1])                  opset 18 upwards: an input

Of the operators that encoders use, only this spelling changed between 17 and 23, and that of
Split without sizes; everything else means what it meant. Newer files (24 and later) are read as
they are: the operators of the grammar did not change.

Exactness  the same operator in another spelling.
Order      after round_attributes, so that every later pass knows one opset.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.errors import ModelError
from intcc.passes.canonicalize.float_functions import FLOAT_DOMAIN
from intcc.passes.canonicalize.graph import add_initializer

__all__ = ["OLDEST", "OPSET", "UpgradeOpset"]

OLDEST, OPSET = 17, 23
_REDUCTIONS = {
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "ReduceLogSum",
    "ReduceLogSumExp",
}


class UpgradeOpset(ir.passes.InPlacePass):
    """Rewrite attribute spellings of opset 17 and set the opset to 23."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Upgrade all nodes.

        Raises:
            ModelError: the opset is older than 17.
        """
        version = model.opset_imports.get("", OPSET)
        if version < OLDEST:
            raise ModelError(
                "The ONNX model",
                f"uses opset {version}, older than {OLDEST}",
                f"Export it again with opset {OLDEST} or later",
            )
        graph = model.graph
        for node in list(graph):
            node.version = None
            if node.domain not in ("", "ai.onnx"):
                continue
            if version < 18 and node.op_type in _REDUCTIONS and "axes" in node.attributes:
                axes = node.attributes.pop("axes").as_ints()
                value = add_initializer(graph, "axes", np.array(axes, dtype=np.int64))
                node.resize_inputs(2)
                node.replace_input_with(1, value)
            if node.op_type == "Split" and len(node.inputs) == 1:
                node.attributes.setdefault(
                    "num_outputs", ir.AttrInt64("num_outputs", len(node.outputs))
                )
        graph.opset_imports[""] = OPSET
        model.opset_imports[""] = OPSET
        model.opset_imports[FLOAT_DOMAIN] = 1  # for what is recognised later
        return ir.passes.PassResult(model, version != OPSET)
