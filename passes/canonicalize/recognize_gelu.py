"""Recognize GELU: any arithmetic around Erf or Tanh that computes it becomes one Gelu node.

    before   x * 0.5 * (1 + erf(x / sqrt(2)))                             in any order of factors
             0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3)))     in any spelling
    after    Gelu(x), Gelu(x, approximate="tanh")

The part of the graph between a value x and a value y is run on a grid of numbers and compared
with both functions. A part that reads anything but x and constants is no candidate.

Exactness  within 2e-6 * (1 + |x|) on [-9, 9]: float32 rounding, and well apart from each other
           (erf and tanh GELU differ by up to 5e-4).
Order      after constants are folded.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.evaluate import NotEvaluableError, evaluate
from intcc.passes.canonicalize.graph import Array, insert_before, replace

__all__ = ["RecognizeGelu", "gelu"]

_ELEMENTWISE = {"Mul", "Div", "Add", "Sub", "Pow", "Neg", "Erf", "Tanh", "Cast", "Identity"}
#: Steps from the Erf or Tanh back to x, and forward to y.
_BACK, _FORWARD = 7, 4
_GRID = np.linspace(-9, 9, 145, dtype=np.float32)


def gelu(x: Array, approximate: str) -> Array:
    """Both forms of GELU in float64."""
    z: Array = x.astype(np.float64)
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)
        return np.asarray(0.5 * z * (1 + np.tanh(inner)))
    erf = np.array([math.erf(v / math.sqrt(2)) for v in z.ravel()]).reshape(z.shape)
    return np.asarray(0.5 * z * (1 + erf))


class RecognizeGelu(ir.passes.InPlacePass):
    """Start from every Erf and Tanh."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace what is found; the old nodes are left without readers."""
        changed = False
        for node in list(model.graph):
            if node.op_type in ("Erf", "Tanh") and node.outputs[0].consumers():
                changed |= self._rewrite(model.graph, node)
        return ir.passes.PassResult(model, changed)

    @staticmethod
    def _rewrite(graph: ir.Graph, node: ir.Node) -> bool:
        approximate = "none" if node.op_type == "Erf" else "tanh"
        expected = gelu(_GRID, approximate)
        sources = _sources(node)
        for y in _results(node.outputs[0]):
            for x in sources:
                if not _equals(x, y, expected):
                    continue
                anchor = y.producer()
                assert anchor is not None
                made = ir.node("Gelu", [x], {"approximate": approximate}, name=anchor.name)
                insert_before(anchor, [made])
                name = y.name
                made.outputs[0].type, made.outputs[0].shape = y.type, y.shape
                replace(graph, y, made.outputs[0])
                graph.remove(anchor, safe=True)
                made.outputs[0].name = name
                return True
        return False


def _sources(node: ir.Node) -> list[ir.Value]:
    """Values from which the argument of `node` is computed element by element, nearest first."""
    found: list[ir.Value] = []
    level = [node.inputs[0]]
    for _ in range(_BACK):
        following: list[ir.Value | None] = []
        for value in level:
            if value is None or value.is_initializer() or value in found:
                continue
            found.append(value)
            inner = value.producer()
            if inner is not None and inner.op_type in _ELEMENTWISE:
                following.extend(inner.inputs)
        level = following
    return found


def _results(value: ir.Value) -> list[ir.Value]:
    """Values computed from `value` by few elementwise steps."""
    found: list[ir.Value] = []
    level = [value]
    for _ in range(_FORWARD):
        level = [
            out
            for v in level
            for user in v.consumers()
            if user.op_type in _ELEMENTWISE
            for out in user.outputs
        ]
        found.extend(v for v in level if v not in found)
    return found


def _equals(x: ir.Value, y: ir.Value, expected: Array) -> bool:
    try:
        got = evaluate(y, {}, cache={x: _GRID})
    except NotEvaluableError:
        return False
    return got.shape == _GRID.shape and bool(
        (np.abs(got - expected) <= 2e-6 * (1 + np.abs(_GRID))).all()
    )
