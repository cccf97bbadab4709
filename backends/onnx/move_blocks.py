"""Move blocks: heads are brought to the front by one look-up of rows.

    before   x [b, n, h, d] -> Transpose 0, 2, 1, 3
    after    x -> Reshape [b*n*h, d] -> Gather rows -> Reshape [b, h, n, d]

onnxruntime's Transpose takes 12 ns for each short block of d numbers, its Gather 6. The places of
the rows are computed once, for all layers of equal extents.

Exactness  nothing is computed.
Order      before the last share, which makes one of equal places.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from intcc.backends.onnx.insertion import Insertion

__all__ = ["move_blocks"]

#: Longest block, in bytes, that is worth it.
_LONGEST = 256
_ORDER = (0, 2, 1, 3)


def move_blocks(model: ir.Model) -> int:
    """Rewrite transpositions of short blocks, in place; return their number; shapes are known."""
    graph = model.graph
    return sum(_rewrite(graph, n) for n in list(graph) if n.op_type == "Transpose" and not n.domain)


def _rewrite(graph: ir.Graph, node: ir.Node) -> int:
    x, y = node.inputs[0], node.outputs[0]
    if x is None or x.shape is None or x.dtype is None or len(x.shape) != 4:
        return 0
    if y.is_graph_output():
        return 0
    d, order = x.shape[3], node.attributes["perm"].as_ints() if "perm" in node.attributes else ()
    if tuple(order) != _ORDER or not isinstance(d, int) or d * x.dtype.itemsize > _LONGEST:
        return 0
    new = Insertion(graph, node, f"{y.name}_")
    add = new.add

    def constant(name: str, numbers: int | Sequence[int]) -> ir.Value:
        return new.constant(name, np.array(numbers, np.int64))

    before = add("Shape", [x], "before", start=0, end=3)
    count = add("ReduceProd", [before], "count", keepdims=0)
    zero, one = constant("number_0", 0), constant("number_1", 1)
    rows = add("Reshape", [add("Range", [zero, count, one], "rows"), before], "grid")
    flat = constant("flat_all", [-1])
    places = add("Reshape", [add("Transpose", [rows], "moved", perm=[0, 2, 1]), flat], "places")
    whole = add("Shape", [x], "whole")
    after = add("Gather", [whole, constant("heads_first", _ORDER)], "after")
    blocks = add("Reshape", [x, constant(f"blocks_{d}", [-1, d])], "blocks")
    result = add("Reshape", [add("Gather", [blocks, places], "found", axis=0), after], "placed")
    new.replace(y, result)
    return 1
