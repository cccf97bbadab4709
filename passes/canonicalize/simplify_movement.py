"""Simplify movement: nodes that move nothing go, pairs that can be one become one.

    Dropout(x), Cast(x) to its own type, Transpose by the identity     x
    Transpose(Transpose(x, p), q)                                      Transpose(x, p[q])
    Reshape(Reshape(x)), Flatten, Squeeze / Unsqueeze of a Reshape     the last Reshape
    Reshape(Transpose(Reshape(x))) that only swaps axes                Transpose(x)

Exactness  the same numbers in the same order.
Order      after shapes are known; before the idioms that look through Reshape and Transpose.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.evaluate import (
    BINDINGS,
    NotEvaluableError,
    concrete_shape,
    evaluate,
)
from intcc.passes.canonicalize.graph import (
    add_initializer,
    dims,
    insert_before,
    only_user,
    producer,
    replace,
)
from intcc.passes.canonicalize.resolve_shapes import complete_target, reshape_target

__all__ = ["SimplifyMovement"]

#: Operators whose result is a Reshape of their first input.
_RESHAPING = {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}


class SimplifyMovement(ir.passes.InPlacePass):
    """One visit of all nodes."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Apply each rule where it fits."""
        graph = model.graph
        changed = False
        for node in list(graph):
            if node.graph is None:
                continue
            if self._moves_nothing(node) and node.inputs[0] is not None:
                replace(graph, node.outputs[0], node.inputs[0])
                graph.remove(node, safe=True)
                changed = True
            elif node.op_type == "Transpose":
                changed |= self._join_transposes(node)
            elif node.op_type in _RESHAPING:
                changed |= _swap_axes(graph, node) or self._join_reshapes(graph, node)
        return ir.passes.PassResult(model, changed)

    @staticmethod
    def _moves_nothing(node: ir.Node) -> bool:
        if not node.inputs or node.inputs[0] is None or node.domain not in ("", "ai.onnx"):
            return False
        x, y = node.inputs[0], node.outputs[0]
        if y.is_graph_output() and (x.is_graph_input() or x.is_initializer()):
            return False
        if node.op_type in ("Identity", "Dropout"):
            return len(node.outputs) == 1 or not any(o.consumers() for o in node.outputs[1:])
        if node.op_type == "Cast":
            return x.dtype is not None and node.attributes.get_int("to") == int(x.dtype)
        if node.op_type == "Transpose":
            perm = node.attributes.get_ints("perm", None)
            return perm is not None and list(perm) == sorted(perm)
        if node.op_type in _RESHAPING:
            known = None not in dims(x) and x.shape is not None and y.shape is not None
            return known and dims(x) == dims(y) and None not in dims(y)
        return False

    @staticmethod
    def _join_transposes(node: ir.Node) -> bool:
        inner = producer(node.inputs[0], "Transpose")
        outer_perm = node.attributes.get_ints("perm", None)
        if inner is None or outer_perm is None or inner.inputs[0] is None:
            return False
        inner_perm = inner.attributes.get_ints("perm", None)
        if inner_perm is None:
            return False
        joined = [inner_perm[axis] for axis in outer_perm]
        node.attributes["perm"] = ir.AttrInt64s("perm", joined)
        node.replace_input_with(0, inner.inputs[0])
        return True

    @staticmethod
    def _join_reshapes(graph: ir.Graph, node: ir.Node) -> bool:
        """Write a reshape of a reshape as one; alone, Squeeze and Unsqueeze stay as they are."""
        inner = node.inputs[0].producer() if node.inputs[0] is not None else None
        nested = (
            inner is not None
            and inner.op_type in _RESHAPING
            and inner.inputs[0] is not None
            and not inner.inputs[0].is_initializer()
            and only_user(inner.outputs[0]) is node
        )
        if not nested and node.op_type != "Flatten":
            return False
        x = inner.inputs[0] if nested and inner is not None else node.inputs[0]
        assert x is not None
        if x.dtype is None or not x.dtype.is_floating_point():
            return False
        out = node.outputs[0]
        observed = [concrete_shape(out, b) for b in BINDINGS]
        inputs = [concrete_shape(x, b) for b in BINDINGS]
        if None in observed or None in inputs:
            return False
        target = reshape_target([o for o in observed if o], [i for i in inputs if i])
        if target is None:
            return False
        shape = add_initializer(graph, f"{out.name}_shape", np.array(target, dtype=np.int64))
        made = ir.node("Reshape", [x, shape], name=node.name)
        insert_before(node, [made])
        made.outputs[0].type, made.outputs[0].shape = out.type, out.shape
        name = out.name
        replace(graph, out, made.outputs[0])
        graph.remove(node, safe=True)
        made.outputs[0].name = name
        return True


def _swap_axes(graph: ir.Graph, node: ir.Node) -> bool:
    """Write a Transpose between two Reshapes as one Transpose, where it is one."""
    turn = producer(node.inputs[0], "Transpose")
    inner = producer(turn.inputs[0], "Reshape") if turn is not None else None
    if turn is None or inner is None or inner.inputs[0] is None:
        return False
    x, out = inner.inputs[0], node.outputs[0]
    perm = turn.attributes.get_ints("perm", None)
    rank = len(dims(x))
    if perm is None or rank > 5:
        return False
    extents = []
    try:
        for binding in BINDINGS:
            source = concrete_shape(x, binding)
            middle = _target(inner, source, binding)
            turned = None if middle is None else tuple(middle[axis] for axis in perm)
            extents.append((source, middle, _target(node, turned, binding)))
    except (NotEvaluableError, IndexError):
        return False
    if any(len(target or ()) != rank for _, _, target in extents):
        return False
    for candidate in permutations(range(rank)):
        if all(
            source is not None
            and middle is not None
            and target is not None
            and _same_movement(source, middle, target, list(perm), candidate)
            for source, middle, target in extents
        ):
            made = ir.node("Transpose", [x], {"perm": list(candidate)}, name=node.name)
            insert_before(node, [made])
            made.outputs[0].type, made.outputs[0].shape = out.type, out.shape
            name = out.name
            replace(graph, out, made.outputs[0])
            graph.remove(node, safe=True)
            made.outputs[0].name = name
            return True
    return False


def _target(
    node: ir.Node, extent: tuple[int, ...] | None, binding: dict[str, int]
) -> tuple[int, ...] | None:
    """Extents of a Reshape's result, given those of its input."""
    shape = node.inputs[1] if node.op_type == "Reshape" else None
    if extent is None or shape is None:
        return None
    return complete_target(evaluate(shape, binding).reshape(-1), extent)


def _same_movement(
    source: tuple[int, ...],
    middle: tuple[int, ...],
    target: tuple[int, ...],
    perm: list[int],
    candidate: tuple[int, ...],
) -> bool:
    if tuple(source[axis] for axis in candidate) != target:
        return False
    numbers = np.arange(np.prod(source)).reshape(source)
    moved = numbers.reshape(middle).transpose(perm).reshape(target)
    return bool((moved == numbers.transpose(candidate)).all())
