"""Recognize pooling: masked means and unit vectors, in any spelling, become one node each.

    before   sum(x * mask) / clamp(sum(mask))         with Expand, Cast, Unsqueeze, Clip, ...
    after    ai.intcc.float::MeanPool(x, attention_mask)

    before   x / clamp(norm(x))
    after    ai.intcc.float::L2Normalize(x)

Every division is a candidate. The part of the graph between x and the quotient is run on random
numbers (and masks) and compared with the two formulas.

Exactness  float32 rounding; at rows without any token, and at zero vectors, both sides are zero.
Order      after constants are folded and shapes known.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.evaluate import NotEvaluableError, concrete_shape, evaluate
from intcc.passes.canonicalize.float_functions import FLOAT_DOMAIN
from intcc.passes.canonicalize.graph import Array, dims, insert_before, replace

__all__ = ["RecognizePooling"]

_MASK = "attention_mask"
#: Steps from the quotient back to x.
_DEPTH = 6
_BATCH, _LENGTH = 3, 7


class RecognizePooling(ir.passes.InPlacePass):
    """Start from every Div."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace what is found; the old nodes are left without readers."""
        graph = model.graph
        mask = next((v for v in graph.inputs if v.name == _MASK), None)
        changed = False
        for node in list(graph):
            y = node.outputs[0] if node.outputs else None
            if node.op_type != "Div" or y is None or len(dims(y)) != 2:
                continue
            for x in _candidates(y):
                kind = _kind(x, y, mask)
                if kind is None:
                    continue
                inputs = [x, mask] if kind == "MeanPool" else [x]
                made = ir.node(kind, inputs, domain=FLOAT_DOMAIN, name=node.name)
                insert_before(node, [made])
                name = y.name
                made.outputs[0].type, made.outputs[0].shape = y.type, y.shape
                replace(graph, y, made.outputs[0])
                graph.remove(node, safe=True)
                made.outputs[0].name = name
                changed = True
                break
        return ir.passes.PassResult(model, changed)


def _candidates(y: ir.Value) -> list[ir.Value]:
    """Values behind `y` that are [batch, sequence, C] or [batch, C], nearest first."""
    width = dims(y)[-1]
    found: list[ir.Value] = []
    level: list[ir.Value] = [y]
    for _ in range(_DEPTH):
        level = [
            x
            for value in level
            for x in (value.producer().inputs if value.producer() else ())  # type: ignore[union-attr]
            if x is not None and not x.is_initializer()
        ]
        for x in level:
            if x not in found and dims(x)[-1:] == [width] and len(dims(x)) in (2, 3):
                found.append(x)
    return found


def _kind(x: ir.Value, y: ir.Value, mask: ir.Value | None) -> str | None:
    """Tell which formula leads from x to y."""
    width = dims(x)[-1]
    if not isinstance(width, int) or x.dtype != ir.DataType.FLOAT:
        return None
    generator = np.random.default_rng(0)
    binding = {"batch": _BATCH, "sequence": _LENGTH}
    shape = concrete_shape(x, binding)
    if shape is None:
        return None
    tokens = len(shape) == 3
    data = generator.standard_normal(shape).astype(np.float32)
    given = generator.integers(0, 2, shape[:2])
    given[:, 0] = 1
    feeds: dict[str, Array] = {_MASK: given} if tokens and mask is not None else {}
    try:
        got = evaluate(y, binding, feeds, {x: data})
    except NotEvaluableError:
        return None
    if tokens:
        if mask is None:
            return None
        weight = given[..., None]
        expected = (data * weight).sum(1) / weight.sum(1)
    else:
        expected = data / np.linalg.norm(data, axis=-1, keepdims=True)
    if got.shape != expected.shape or np.abs(got - expected).max() > 1e-5:
        return None
    return "MeanPool" if tokens else "L2Normalize"
