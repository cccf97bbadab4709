"""Merge constants: additions of constants move towards each other and become one.

    before   q - c -> n;  n * w + b                          n read by such products alone
    after    q * w + (b - c * w)

    before   (a + c1) + (b + c2)
    after    (a + b) + (c1 + c2)

Each saves a pass over a row of the residual stream for every layer.

Exactness  integers, as long as no sum or product leaves its type: the ranges of q, a and b say so.
Order      after fold (constants are initializers).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.onnx.clean import initializer
from intcc.backends.onnx.insertion import Insertion
from intcc.backends.onnx.ranges import Range, fits, hull, value_ranges

__all__ = ["merge_constants"]

Array = npt.NDArray[Any]


def merge_constants(model: ir.Model, proved: Mapping[str, Range]) -> int:
    """Merge what fits, in place; return the number of additions saved. Shapes must be inferred."""
    graph = model.graph
    graph.sort()
    ranges = value_ranges(graph, proved)
    merged = 0
    for node in list(graph):
        if node.graph is graph and node.op_type in ("Add", "Sub") and not node.domain:
            merged += _into_products(graph, node, ranges) or _of_sums(graph, node, ranges)
    return merged


def _constant(value: ir.Value | None) -> Array | None:
    if value is None or value.const_value is None or len(value.const_value.shape) > 1:
        return None
    return value.const_value.numpy()


def _term(node: ir.Node | None, kinds: tuple[str, ...]) -> tuple[ir.Value, Array] | None:
    """Return x and c of x + c, x - c or x * c; the constant of a difference is negated."""
    if node is None or node.domain or node.op_type not in kinds:
        return None
    x, y = node.inputs
    if node.op_type != "Sub" and _constant(y) is None:
        x, y = y, x
    c = _constant(y)
    if x is None or c is None or x.const_value is not None or x.dtype != ir.DataType.INT32:
        return None
    return x, (-c if node.op_type == "Sub" else c).astype(np.int64)


def _into_products(graph: ir.Graph, node: ir.Node, ranges: dict[ir.Value, Range]) -> int:
    """Move x + c behind the products that read it."""
    term, sum_ = _term(node, ("Add", "Sub")), node.outputs[0]
    if term is None or sum_.is_graph_output() or not sum_.uses():
        return 0
    x, c = term
    lo, hi = (a - b for a, b in zip(ranges[sum_], reversed(hull(c)), strict=True))
    lo, hi = max(lo, ranges[x][0]), min(hi, ranges[x][1])
    moved = []
    for use in sum_.uses():
        product = _term(use.node, ("Mul",))
        then = [u.node for u in use.node.outputs[0].uses()]
        last = _term(then[0], ("Add", "Sub")) if len(then) == 1 else None
        if product is None or last is None or use.node.outputs[0].is_graph_output():
            return 0
        w, b = product[1], last[1] + c * product[1]
        ends = [int(v) for end in (lo, hi) for v in hull(end * w)]
        if not (fits((min(ends), max(ends))) and fits(hull(b))):
            return 0
        moved.append((use.node, then[0], b, (min(ends), max(ends))))
    for multiply, add, b, limits in moved:
        multiply.replace_input_with(_place(multiply, sum_), x)
        ranges[multiply.outputs[0]] = limits  # the product is another one now
        _settle(graph, add, multiply.outputs[0], b)
    return 1


def _of_sums(graph: ir.Graph, node: ir.Node, ranges: dict[ir.Value, Range]) -> int:
    """Add the constants of two summands to each other."""
    if node.op_type != "Add" or None in node.inputs:
        return 0
    inner = [v.producer() for v in node.inputs if v is not None]
    terms = [_term(n, ("Add", "Sub")) for n in inner]
    alone = [len(v.uses()) == 1 and not v.is_graph_output() for v in node.inputs if v is not None]
    if None in terms or not all(alone) or inner[0] is inner[1]:
        return 0
    (a, c1), (b, c2) = (t for t in terms if t is not None)
    first, second = (
        _before(v, c, ranges) for v, c in zip(node.inputs, (c1, c2), strict=True) if v is not None
    )
    c = c1 + c2
    if not (fits((first[0] + second[0], first[1] + second[1])) and fits(hull(c))):
        return 0
    new = Insertion(graph, node, f"{node.outputs[0].name}_")
    total = new.add("Add", [a, b], "terms")
    total.type, total.shape = node.outputs[0].type, node.outputs[0].shape
    graph.insert_before(node, new.nodes)
    _settle(graph, node, total, c)
    return 1


def _before(sum_: ir.Value, c: Array, ranges: dict[ir.Value, Range]) -> Range:
    """Range of x where x + c has a known one."""
    lo, hi = ranges[sum_]
    return lo - int(c.max()), hi - int(c.min())


def _place(node: ir.Node, value: ir.Value) -> int:
    return next(i for i, v in enumerate(node.inputs) if v is value)


def _settle(graph: ir.Graph, node: ir.Node, x: ir.Value, c: Array) -> None:
    """Make a sum or difference x + c."""
    constant = initializer(graph, f"{node.outputs[0].name}_constant", c.astype(np.int32))
    node.op_type = "Add"
    node.replace_input_with(0, x)
    node.replace_input_with(1, constant)
