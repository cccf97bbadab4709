"""Settle attributes: defaults are written out, and uses without an integer form refused.

    before   LayerNormalization(axis=2) of rank 3, Attention without a scale
    after    axis=-1, scale = 1 / sqrt(D)

Refused: causal and soft-capped attention, key-value caches, further outputs; heads that are not
merged; norms and softmax over an axis that is not the last.

Exactness  nothing changes but the spelling.
Order      after merge_heads and remove_dead, where every Attention is 3-D.
"""

from __future__ import annotations

import onnx_ir as ir

from intcc.errors import ModelError
from intcc.passes.canonicalize.graph import dims

__all__ = ["SettleAttributes"]

_LAST_AXIS = {"LayerNormalization": -1, "RMSNormalization": -1, "Softmax": -1}
_ADVICE = "Export an encoder without caches, or report the model to us"


class SettleAttributes(ir.passes.InPlacePass):
    """Visit norms, softmax and attention."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite attributes.

        Raises:
            ModelError: an operator is used in a way that has no integer form.
        """
        for node in model.graph:
            if node.domain not in ("", "ai.onnx"):
                continue
            if node.op_type in _LAST_AXIS:
                _settle_axis(node)
            elif node.op_type == "Attention":
                _settle_attention(node)
        return ir.passes.PassResult(model, True)


def _settle_axis(node: ir.Node) -> None:
    axis = node.attributes.get_int("axis", _LAST_AXIS[node.op_type])
    rank = len(dims(node.inputs[0]))
    if axis not in (-1, rank - 1):
        raise ModelError(
            f"{node.op_type} '{node.name}'",
            f"works along axis {axis} of {rank}",
            "Only the last axis has an integer form: report the model to us",
        )
    if any(out.consumers() or out.is_graph_output() for out in node.outputs[1:]):
        raise ModelError(f"{node.op_type} '{node.name}'", "has further outputs in use", _ADVICE)
    node.attributes["axis"] = ir.AttrInt64("axis", -1)


def _settle_attention(node: ir.Node) -> None:
    subject = f"Attention '{node.name}'"
    if node.attributes.get_int("is_causal", 0):
        raise ModelError(subject, "is causal, and only encoders are supported", _ADVICE)
    if node.attributes.get_float("softcap", 0.0):
        raise ModelError(subject, "caps its scores (softcap)", _ADVICE)
    used = any(out.consumers() or out.is_graph_output() for out in node.outputs[1:])
    if used or any(x is not None for x in node.inputs[4:]):
        raise ModelError(subject, "keeps keys and values of earlier tokens", _ADVICE)
    query = dims(node.inputs[0])
    if len(query) != 3 or "q_num_heads" not in node.attributes:
        raise ModelError(
            subject, f"has heads that are arranged in an unknown way ({query})", _ADVICE
        )
    width = query[2]
    if "scale" not in node.attributes and isinstance(width, int):
        head = width // node.attributes["q_num_heads"].as_int()
        node.attributes["scale"] = ir.AttrFloat32("scale", head**-0.5)
