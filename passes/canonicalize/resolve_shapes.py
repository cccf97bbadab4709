"""Resolve shapes: the target of every Reshape becomes a constant of 0, -1 and numbers.

    before   x [batch, sequence, 384] -> Reshape(Concat(Shape(x)[0:2], [12, 32]))
    after    x [batch, sequence, 384] -> Reshape([0, 0, 12, 32])

Exactness  the same movement for every batch and length: a target extent becomes 0 where it equals
           the input's extent on that axis at all observed bindings, and one other may be -1.
Order      after constants are folded and shapes inferred; repeated, since each resolved Reshape
           lets the shapes behind it be inferred.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.evaluate import (
    BINDINGS,
    NotEvaluableError,
    concrete_shape,
    evaluate,
    shape_only,
)
from intcc.passes.canonicalize.graph import Array, add_initializer, constant, replace

__all__ = ["ResolveShapes", "complete_target", "reshape_target"]


def reshape_target(
    observed: list[tuple[int, ...]], inputs: list[tuple[int, ...]] | None
) -> list[int] | None:
    """Return the target in 0, -1 and numbers that gives `observed` at every binding."""
    target: list[int] = []
    for axis in range(len(observed[0])):
        extents = {o[axis] for o in observed}
        if len(extents) == 1:
            target.append(observed[0][axis])
        elif inputs and all(
            axis < len(i) and i[axis] == o[axis] for i, o in zip(inputs, observed, strict=True)
        ):
            target.append(0)
        else:
            target.append(-1)
    return target if target.count(-1) <= 1 else None


class ResolveShapes(ir.passes.InPlacePass):
    """Give each Reshape a constant target, and drop Expands that change nothing."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Visit all nodes once, in order."""
        graph = model.graph
        memo: dict[ir.Value, bool] = {}
        changed = False
        for node in list(graph):
            if node.op_type == "Reshape":
                changed |= self._reshape(graph, node, memo)
            elif node.op_type == "Expand":
                changed |= self._expand(graph, node, memo)
        return ir.passes.PassResult(model, changed)

    def _reshape(self, graph: ir.Graph, node: ir.Node, memo: dict[ir.Value, bool]) -> bool:
        x, shape = node.inputs[0], node.inputs[1]
        assert x is not None and shape is not None
        extents = [concrete_shape(x, b) for b in BINDINGS]
        given = constant(shape)
        literal = node.attributes.get_int("allowzero", 0) == 1
        if literal and given is not None and (given == 0).any():
            return False  # an empty tensor
        if not shape_only(shape, memo):
            return False
        try:
            seen = [evaluate(shape, b).reshape(-1) for b in BINDINGS]
        except NotEvaluableError:
            return False
        inputs = [e for e in extents if e is not None]
        known = inputs if len(inputs) == len(BINDINGS) else None
        observed = []
        for target, extent in zip(seen, extents, strict=True):
            full = complete_target(target, extent)
            if full is None:
                return False
            observed.append(full)
        resolved = reshape_target(observed, known)
        if resolved is None:
            return False
        node.attributes.pop("allowzero", None)
        if given is not None and given.tolist() == resolved:
            return False
        stem = f"{node.outputs[0].name}_shape"
        new = add_initializer(graph, stem, np.array(resolved, dtype=np.int64))
        node.replace_input_with(1, new)
        return True

    def _expand(self, graph: ir.Graph, node: ir.Node, memo: dict[ir.Value, bool]) -> bool:
        x, shape = node.inputs[0], node.inputs[1]
        assert x is not None and shape is not None
        if not shape_only(shape, memo):
            return False
        try:
            for binding in BINDINGS:
                have = concrete_shape(x, binding)
                want = tuple(int(v) for v in evaluate(shape, binding).reshape(-1))
                if have is None or np.broadcast_shapes(have, want) != have:
                    return False
        except (NotEvaluableError, ValueError):
            return False
        replace(graph, node.outputs[0], x)
        graph.remove(node, safe=True)
        return True


def complete_target(target: Array, extent: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Write a target that may hold 0 and -1 out in numbers; None if that needs the input."""
    full = [int(v) for v in target]
    if any(v <= 0 for v in full):
        if extent is None:
            return None
        for axis, v in enumerate(full):
            if v == 0 and axis < len(extent):
                full[axis] = extent[axis]
        if -1 in full:
            rest = int(np.prod([v for v in full if v != -1]))
            full[full.index(-1)] = int(np.prod(extent)) // max(rest, 1)
    return tuple(full)
