"""Sink transposes: a pair of Transposes with row-wise work between them disappears.

    before   Transpose(p) -> RMSNormalization -> Transpose(q)
    after    RMSNormalization -> Transpose(p), Transpose(q)        one, or none where q undoes p

    before   Transpose(p) -> Split(axis) -> Transpose(q) at each part
    after    Split(p[axis]) -> Transpose(p), Transpose(q) at each part

Decoders norm and split their heads behind the Transpose that attention asks for; here the heads
stay where the layer before left them. A norm keeps its rows because p keeps the last axis.

Exactness  the same rows, in another order.
Order      after recognize_norms; simplify_movement joins the pairs.
"""

from __future__ import annotations

import onnx_ir as ir

from intcc.passes.canonicalize.graph import only_user, producer

__all__ = ["SinkTransposes"]

_NORMS = ("RMSNormalization", "LayerNormalization")


class SinkTransposes(ir.passes.InPlacePass):
    """Move Transposes behind norms and splits whose readers are Transposes."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Visit all nodes once, in order: a chain of norms is passed in one go."""
        changed = False
        for node in list(model.graph):
            if node.op_type in (*_NORMS, "Split") and node.domain in ("", "ai.onnx"):
                changed |= _sink(node)
        return ir.passes.PassResult(model, changed)


def _sink(node: ir.Node) -> bool:
    turn = producer(node.inputs[0], "Transpose")
    perm = turn.attributes.get_ints("perm", None) if turn is not None else None
    if turn is None or perm is None or only_user(turn.outputs[0]) is not node:
        return False
    rank = len(perm)
    default = 0 if node.op_type == "Split" else -1
    axis = node.attributes.get_int("axis", default) % rank
    if node.op_type in _NORMS and (axis != rank - 1 or perm[-1] != rank - 1):
        return False
    used = [out for out in node.outputs if out.consumers() or out.is_graph_output()]
    readers = [user for out in used for user in out.consumers()]
    if not all(user.op_type == "Transpose" for user in readers) or not readers:
        return False
    if any(out.is_graph_output() for out in used):
        return False
    node.replace_input_with(0, turn.inputs[0])
    if node.op_type == "Split":
        node.attributes["axis"] = ir.AttrInt64("axis", perm[axis])
    else:
        node.attributes["axis"] = ir.AttrInt64("axis", -1)
    for user in readers:
        own = user.attributes.get_ints("perm", None)
        outer = list(range(rank))[::-1] if own is None else own
        user.attributes["perm"] = ir.AttrInt64s("perm", [perm[a] for a in outer])
    for out in node.outputs:
        if out.shape is not None:
            moved = list(out.shape)
            extents = list(moved)
            for position, source in enumerate(perm):
                extents[source] = moved[position]
            out.shape = ir.Shape(extents)
    return True
