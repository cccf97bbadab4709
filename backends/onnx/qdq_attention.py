"""Attention of the QDQ flavour in plain ONNX: softmax(q k^T * unit + addends) v, head by head.

Queries and keys are quantized before their heads are split. Softmax and its product with the
values stay float32, as they do in other tools' graphs: 8 bits of a probability are few.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from intcc.backends.onnx.qdq_values import Values
from intcc.qparams import Role

__all__ = ["add_attention"]

#: Addend of the score of a padded key; e to its power is 0 in float16 too.
_HIDDEN = -1e4


def add_attention(values: Values, node: ir.Node) -> None:
    """Append an attention of as many key heads as query heads, as encoders have it."""
    out, name = values.out, str(node.outputs[0].name)
    query, key, value = node.inputs[:3]
    assert query is not None and key is not None and value is not None
    heads = node.attributes.get_int("q_num_heads", 0)
    scale = node.attributes.get_float("scale", 1 / math.sqrt(_width(query) // heads))

    def split(x: str, role: Role, like: ir.Value, perm: list[int]) -> str:
        shape = np.array([0, 0, heads, _width(like) // heads], np.int64)
        rows = out.node("Reshape", [x, out.const(shape, "heads")], f"{name}.{role}.heads")
        return out.node("Transpose", [rows], f"{name}.{role}", perm=perm)

    q = split(values.quantized(query, Role.QUERY), Role.QUERY, query, [0, 2, 1, 3])
    k = split(values.quantized(key, Role.KEY), Role.KEY, key, [0, 2, 3, 1])
    v = split(values.value(value), Role.VALUE, value, [0, 2, 1, 3])
    # The factors of queries and keys cancel but for one number.
    unit = scale * values.grid(query, Role.QUERY).divisor * values.grid(key, Role.KEY).divisor
    assert np.ptp(unit) <= 1e-6 * unit.max(), f"{name}: scores of several scales"
    scores = out.node("MatMul", [q, k], f"{name}.products")
    scores = out.affine(scores, unit.max(), np.zeros(()), f"{name}.scores")
    for addend in _addends(values, node):
        scores = out.node("Add", [scores, addend], f"{name}.masked")
    weights = out.node("Softmax", [scores], f"{name}.weights", axis=-1)
    mixed = out.node("MatMul", [weights, v], f"{name}.mixed")
    turned = out.node("Transpose", [mixed], f"{name}.turned", perm=[0, 2, 1, 3])
    joined = out.const(np.array([0, 0, _width(value)], np.int64), "joined")
    values.names[name] = out.node("Reshape", [turned, joined], name)


def _width(value: ir.Value) -> int:
    width = value.shape[-1] if value.shape is not None else None
    assert isinstance(width, int), f"{value.name} has no fixed width"
    return width


def _addends(values: Values, node: ir.Node) -> Iterator[str]:
    """Yield what is added to the scores: a position bias, a key mask [batch, 1, 1, keys]."""
    properties, out = node.metadata_props, values.out
    if "intcc.position_bias" in properties:
        yield values.names[properties["intcc.position_bias"]]
    if "intcc.key_mask" in properties:
        mask = values.names[properties["intcc.key_mask"]]
        made = f"{mask}.addend"
        if made not in values.names:
            real = values.real_mask(mask)
            absent = out.bound(out.node("Sub", [out.real(1.0, "one"), real], f"{mask}.absent"), 1.0)
            low = out.node("Mul", [absent, out.real(_HIDDEN, "hidden")], f"{mask}.low")
            out.bound(low, -_HIDDEN)
            axes = out.const(np.array([1, 2], np.int64), "score_axes")
            values.names[made] = out.node("Unsqueeze", [low, axes], made)
        yield values.names[made]
