"""Merge heads: Attention in its 3-D form, the head axis inside the operator.

    before   q, k, v [B,S,H*D] -> Reshape [0,0,H,D] -> Transpose [0,2,1,3] -> Attention (4-D)
             -> Transpose [0,2,1,3] -> Reshape [0,0,H*D]
    after    q, k, v [B,S,H*D] -> Attention(q_num_heads=H, kv_num_heads=G) -> [B,S,H*D]

Exactness  the same numbers: the operator's 3-D form is defined as these reshapes.
Order      after resolve_shapes, fuse_attention and recognize_masks.
"""

from __future__ import annotations

import onnx_ir as ir

from intcc.passes.canonicalize.graph import dims, insert_before, only_user, producer, replace

__all__ = ["MergeHeads"]

_PERM = [0, 2, 1, 3]


def _split_source(value: ir.Value | None) -> tuple[ir.Value, int] | None:
    """Return x [B,S,H*D] and H where `value` is Transpose(Reshape(x))."""
    transpose = producer(value, "Transpose")
    if transpose is None or list(transpose.attributes.get_ints("perm", [])) != _PERM:
        return None
    reshape = producer(transpose.inputs[0], "Reshape")
    if reshape is None or reshape.inputs[0] is None:
        return None
    split, x = dims(reshape.outputs[0]), reshape.inputs[0]
    whole = dims(x)
    if len(split) != 4 or len(whole) != 3 or split[:2] != whole[:2]:
        return None
    return (x, split[2]) if isinstance(split[2], int) else None


class MergeHeads(ir.passes.InPlacePass):
    """Absorb the head reshapes around every 4-D Attention."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite where all four reshapes are found; check_grammar reports the rest."""
        changed = False
        for node in list(model.graph):
            if node.op_type == "Attention" and len(dims(node.inputs[0])) == 4:
                changed |= self._rewrite(model.graph, node)
        return ir.passes.PassResult(model, changed)

    @staticmethod
    def _rewrite(graph: ir.Graph, node: ir.Node) -> bool:
        sources = [_split_source(x) for x in node.inputs[:3]]
        transpose = only_user(node.outputs[0])
        if transpose is None or transpose.op_type != "Transpose" or None in sources:
            return False
        if list(transpose.attributes.get_ints("perm", [])) != _PERM:
            return False
        reshape = only_user(transpose.outputs[0])
        if reshape is None or reshape.op_type != "Reshape" or len(dims(reshape.outputs[0])) != 3:
            return False
        (q, heads), (k, kv_heads), (v, _) = [s for s in sources if s is not None]
        attributes = {a.name: a for a in node.attributes.values()}
        attributes["q_num_heads"] = ir.AttrInt64("q_num_heads", heads)
        attributes["kv_num_heads"] = ir.AttrInt64("kv_num_heads", kv_heads)
        merged = ir.Node(
            "",
            "Attention",
            [q, k, v, *node.inputs[3:]],
            list(attributes.values()),
            metadata_props=dict(node.metadata_props),
            name=node.name,
        )
        insert_before(reshape, [merged])
        out = reshape.outputs[0]
        merged.outputs[0].type, merged.outputs[0].shape = out.type, out.shape
        merged.outputs[0].name = node.outputs[0].name
        node.outputs[0].name = f"{node.outputs[0].name}_heads"
        replace(graph, out, merged.outputs[0])
        return True
