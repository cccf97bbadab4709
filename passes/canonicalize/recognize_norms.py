"""Recognize norms: spelled-out LayerNorm and RMSNorm become one node.

    before   d = x - mean(x);  d / sqrt(mean(d**2) + eps) * weight [+ bias]
    after    LayerNormalization(x, weight, bias, epsilon=eps, axis=-1)

    before   x * rsqrt(mean(x**2) + eps) * weight            factors in any order
    after    RMSNormalization(x, weight, epsilon=eps, axis=-1)

The part of the graph between x and the unweighted result is run on random rows, small ones among
them so that epsilon tells, and compared with both formulas. Weight and bias are constants behind.

Exactness  within 1e-5 of rows of norm sqrt(n): float32 rounding.
Order      after constants are folded and shapes known.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.evaluate import NotEvaluableError, evaluate
from intcc.passes.canonicalize.graph import (
    Array,
    add_initializer,
    constant,
    dims,
    insert_before,
    only_user,
    producer,
    replace,
    scalar,
)

__all__ = ["RecognizeNorms"]

_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Reciprocal", "ReduceMean")
_STEPS = frozenset((*_ARITHMETIC, "Neg", "Identity", "Cast"))
#: Steps from the square root back to x, and forward to the unweighted result.
_BACK, _FORWARD = 6, 3


class RecognizeNorms(ir.passes.InPlacePass):
    """Start from every square root of something plus a small constant."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace what is found; the old nodes are left without readers."""
        changed = False
        for node in list(model.graph):
            if node.op_type == "Sqrt" and node.outputs[0].consumers():
                changed |= _rewrite(model.graph, node)
        return ir.passes.PassResult(model, changed)


def _rewrite(graph: ir.Graph, root: ir.Node) -> bool:
    epsilon = 0.0
    shifted = producer(root.inputs[0], "Add")
    if shifted is not None:
        found = [e for e in map(scalar, shifted.inputs) if e is not None]
        if not found:
            return False
        epsilon = found[0]
    sources = _sources(root)
    for centred in (True, False):
        for x in sources:
            data = _rows(x)
            if data is None:
                continue
            expected = _normalized(data, epsilon, centred)
            for y in _results(root.outputs[0]):
                if _equals(x, y, data, expected):
                    _emit(graph, x, y, epsilon, centred)
                    return True
    return False


def _rows(x: ir.Value) -> Array | None:
    width = dims(x)[-1] if dims(x) else None
    if not isinstance(width, int) or width < 2 or x.dtype != ir.DataType.FLOAT:
        return None
    generator = np.random.default_rng(0)
    shape = (1,) * (len(dims(x)) - 1)
    sizes = np.array([1.0, 1e-2, 1e-4, 1e-6])
    rows = generator.standard_normal((4, width)) * sizes[:, None] + 0.3 * sizes[:, None]
    return rows.reshape(4, *shape[1:], width).astype(np.float32) if shape else None


def _normalized(x: Array, epsilon: float, centred: bool) -> Array:
    z = x.astype(np.float64)
    if centred:
        z = z - z.mean(-1, keepdims=True)
    return np.asarray(z / np.sqrt((z * z).mean(-1, keepdims=True) + epsilon))


def _sources(root: ir.Node) -> list[ir.Value]:
    found: list[ir.Value] = []
    level = [root.inputs[0]]
    for _ in range(_BACK):
        following: list[ir.Value | None] = []
        for value in level:
            if value is None or value.is_initializer() or value in found:
                continue
            found.append(value)
            inner = value.producer()
            if inner is not None and inner.op_type in _STEPS:
                following.extend(inner.inputs)
        level = following
    return found


def _results(value: ir.Value) -> list[ir.Value]:
    found: list[ir.Value] = []
    level = [value]
    for _ in range(_FORWARD):
        users = [user for v in level for user in v.consumers() if user.op_type in _STEPS]
        level = [out for user in users for out in user.outputs]
        found.extend(v for v in level if v not in found)
    return found


def _equals(x: ir.Value, y: ir.Value, data: Array, expected: Array) -> bool:
    try:
        got = evaluate(y, {}, cache={x: data})
    except NotEvaluableError:
        return False
    return got.shape == expected.shape and bool(np.abs(got - expected).max() <= 1e-5)


def _constant_row(value: ir.Value, op_type: str, width: int) -> tuple[ir.Value, Array] | None:
    """Return the result and the row where the only reader of `value` applies a constant row."""
    user = only_user(value)
    if user is None or user.op_type != op_type:
        return None
    for x in user.inputs:
        row = constant(x)
        if row is not None and row.size in (1, width) and row.shape[-1:] in ((), (1,), (width,)):
            return user.outputs[0], np.broadcast_to(row.reshape(-1), (width,)).copy()
    return None


def _emit(graph: ir.Graph, x: ir.Value, y: ir.Value, epsilon: float, centred: bool) -> None:
    width = dims(x)[-1]
    assert isinstance(width, int)
    weight, bias = np.ones(width, np.float32), None
    scaled = _constant_row(y, "Mul", width)
    if scaled is not None:
        y, weight = scaled
    shifted = _constant_row(y, "Add", width) if centred else None
    if shifted is not None:
        y, bias = shifted
    inputs = [x, add_initializer(graph, f"{y.name}.weight", weight)]
    if bias is not None:
        inputs.append(add_initializer(graph, f"{y.name}.bias", bias))
    anchor = y.producer()
    assert anchor is not None
    kind = "LayerNormalization" if centred else "RMSNormalization"
    attributes = {"axis": -1, "epsilon": float(epsilon)}
    made = ir.node(kind, inputs, attributes, name=anchor.name)
    insert_before(anchor, [made])
    name = y.name
    made.outputs[0].type, made.outputs[0].shape = x.type, x.shape
    replace(graph, y, made.outputs[0])
    graph.remove(anchor, safe=True)
    made.outputs[0].name = name
