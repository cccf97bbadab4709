"""Fuse attention: the spelled-out product of queries, keys and values becomes one Attention.

    before   softmax(q @ k' * scale [+ addends] [or Where(mask, ...)]) @ v       4-D, heads apart
    after    Attention(q, k, v, addends or mask, scale)                          4-D

The scale may stand on q, on k, on the scores, or be split among them. Addends are summed; the
masks among them are recognised later, by their values.

Exactness  the scale may be applied before or after the product: float32 rounding only.
Order      after constants are folded; before recognize_masks and merge_heads.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.graph import (
    add_initializer,
    constant,
    dims,
    insert_before,
    producer,
    replace,
    scalar,
)

__all__ = ["FuseAttention"]


class FuseAttention(ir.passes.InPlacePass):
    """Start from every Softmax over keys."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite each spelled-out attention."""
        changed = False
        for node in list(model.graph):
            if node.op_type == "Softmax" and len(dims(node.outputs[0])) == 4:
                changed |= _rewrite(model.graph, node)
        return ir.passes.PassResult(model, changed)


def _rewrite(graph: ir.Graph, softmax: ir.Node) -> bool:
    axis = softmax.attributes.get_int("axis", -1)
    if axis not in (-1, 3):
        return False
    product = _value_product(softmax.outputs[0])
    if product is None:
        return False
    scores, terms, scale = _peel(softmax.inputs[0])
    if scores is None or scores.inputs[0] is None or scores.inputs[1] is None:
        return False
    q, q_scale = _unscale(scores.inputs[0])
    transposed, k_scale = _unscale(scores.inputs[1])
    k = _untransposed(transposed, product)
    v = product.inputs[1]
    if k is None or v is None or len(dims(q)) != 4 or len(dims(v)) != 4:
        return False
    operands = [q, k, v]
    if terms:
        operands.append(_sum(graph, terms, product))
    attention = ir.node(
        "Attention", operands, {"scale": float(scale * q_scale * k_scale)}, name=product.name
    )
    insert_before(product, [attention])
    out = product.outputs[0]
    attention.outputs[0].type, attention.outputs[0].shape = out.type, out.shape
    name = out.name
    replace(graph, out, attention.outputs[0])
    graph.remove(product, safe=True)
    attention.outputs[0].name = name
    return True


def _value_product(weights: ir.Value) -> ir.Node | None:
    """Follow the softmax to the product with v, past dropouts and the guard against NaN rows."""
    users = [u for u in weights.consumers() if u.op_type != "IsNaN"]
    if len(users) != 1:
        return None
    user = users[0]
    if user.op_type == "MatMul" and user.inputs[0] is weights:
        return user
    guard = user.op_type == "Where" and producer(user.inputs[0], "IsNaN") is not None
    if guard or user.op_type in ("Dropout", "Identity", "Cast"):
        return _value_product(user.outputs[0])
    return None


Term = tuple[str, ir.Value]


def _peel(value: ir.Value | None) -> tuple[ir.Node | None, list[Term], float]:
    """Go back from the softmax's input to the product q @ k', collecting scale and addends."""
    terms: list[Term] = []
    scale = 1.0
    while value is not None:
        node = value.producer()
        if node is None:
            break
        if node.op_type == "MatMul":
            return node, terms, scale
        if node.op_type in ("Mul", "Div"):
            rest, factor = _factor(node)
            if rest is None:
                break
            scale *= factor
            value = rest
        elif node.op_type == "Add":
            side = _scores_side(node)
            if side is None or scale != 1.0:
                break  # a scale over the addends too: no attention as we know it
            other = node.inputs[1 - side]
            assert other is not None
            terms.append(("add", other))
            value = node.inputs[side]
        elif node.op_type == "Where":
            low = [scalar(x) for x in node.inputs[1:]]
            condition = node.inputs[0]
            if condition is None:
                break
            if low[1] is not None and low[1] <= -1e4:
                terms.append(("keep", condition))
                value = node.inputs[1]
            elif low[0] is not None and low[0] <= -1e4:
                terms.append(("hide", condition))
                value = node.inputs[2]
            else:
                break
        elif node.op_type in ("Identity", "Cast"):
            value = node.inputs[0]
        else:
            break
    return None, [], 1.0


def _factor(node: ir.Node) -> tuple[ir.Value | None, float]:
    """Return x and c where `node` is x * c, c * x or x / c."""
    right = scalar(node.inputs[1])
    if right is not None:
        return node.inputs[0], right if node.op_type == "Mul" else 1.0 / right
    left = scalar(node.inputs[0])
    if left is not None and node.op_type == "Mul":
        return node.inputs[1], left
    return None, 1.0


def _scores_side(node: ir.Node) -> int | None:
    """Tell which operand of an Add leads back to a product of two computed values."""
    for side in (0, 1):
        value = node.inputs[side]
        for _ in range(8):
            inner = None if value is None else value.producer()
            if inner is None:
                break
            if inner.op_type == "MatMul":
                if constant(inner.inputs[0]) is None and constant(inner.inputs[1]) is None:
                    return side
                break
            if inner.op_type not in ("Mul", "Div", "Add", "Where", "Identity"):
                break
            value = inner.inputs[1] if inner.op_type == "Where" else inner.inputs[0]
    return None


def _unscale(value: ir.Value) -> tuple[ir.Value, float]:
    """Strip a scalar factor off q or k'."""
    node = producer(value, "Mul", "Div")
    if node is not None:
        rest, factor = _factor(node)
        if rest is not None:
            return rest, factor
    return value, 1.0


def _untransposed(value: ir.Value, anchor: ir.Node) -> ir.Value | None:
    """Return k [B,H,T,D] where `value` is its transpose [B,H,D,T]."""
    node = producer(value, "Transpose")
    if node is None or node.inputs[0] is None or len(dims(value)) != 4:
        return None
    perm = list(node.attributes.get_ints("perm", []))
    wanted = [perm[0], perm[1], perm[3], perm[2]] if len(perm) == 4 else []
    if wanted == [0, 1, 2, 3]:
        # A scale may stand between the split of the heads and this transpose.
        return node.inputs[0]
    if not wanted:
        return None
    made = ir.node("Transpose", [node.inputs[0]], {"perm": wanted})
    insert_before(anchor, [made])
    shape = dims(value)
    made.outputs[0].type = value.type
    made.outputs[0].shape = ir.Shape([shape[0], shape[1], shape[3], shape[2]])
    return made.outputs[0]


def _sum(graph: ir.Graph, terms: list[Term], anchor: ir.Node) -> ir.Value:
    """Join the addends and masks into one addend."""
    total: ir.Value | None = None
    for kind, value in terms:
        if kind != "add":
            zero = add_initializer(graph, "shown", np.array(0.0, np.float32))
            low = add_initializer(graph, "hidden", np.array(-1e9, np.float32))
            order = [zero, low] if kind == "keep" else [low, zero]
            where = ir.node("Where", [value, *order])
            insert_before(anchor, [where])
            where.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
            where.outputs[0].shape = value.shape
            value = where.outputs[0]
        if total is None:
            total = value
            continue
        add = ir.node("Add", [total, value])
        insert_before(anchor, [add])
        add.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        total = add.outputs[0]
    assert total is not None
    return total
