"""Sum rows: what fits is added in 32 bits, only the rest in 64.

    before   x int32 [.., n] -> Cast to int64 -> MatMul ones [n, 1]
    after    x -> Reshape [.., g, n/g] -> MatMul ones [1, g] -> Cast -> MatMul ones [n/g, 1]

onnxruntime's int64 takes three times as long as its int32: the cast and the product of a row of
384 take 260 ns, with g = 4 they take 190, with g = 6 they take 160.

Exactness  integers; g * max |x| < 2**31.
Order      after fold (constants are initializers), before the last share.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from intcc.backends.onnx.insertion import Insertion
from intcc.backends.onnx.ranges import Range, value_ranges

__all__ = ["sum_rows"]

#: Fewest numbers that are worth a sum of their own, and shortest row.
_FEWEST, _SHORTEST = 3, 64


def sum_rows(model: ir.Model, proved: Mapping[str, Range]) -> int:
    """Rewrite sums of rows, in place; return their number. Shapes must be inferred."""
    graph = model.graph
    graph.sort()
    ranges = value_ranges(graph, proved)
    return sum(_rewrite(graph, node, ranges) for node in list(graph) if node.op_type == "MatMul")


def _rewrite(graph: ir.Graph, node: ir.Node, ranges: dict[ir.Value, Range]) -> int:
    wide, ones = node.inputs
    assert wide is not None and ones is not None
    cast, total = wide.producer(), node.outputs[0]
    if cast is None or cast.op_type != "Cast" or total.is_graph_output():
        return 0
    x, constant = cast.inputs[0], ones.const_value
    if constant is None or len(constant.shape) != 2 or constant.shape[1] != 1:
        return 0
    n = constant.numpy().shape[0]
    if x is None or x.dtype != ir.DataType.INT32 or x.shape is None or x not in ranges:
        return 0
    g = _group(n, max(map(abs, ranges[x])))
    if g < _FEWEST or not bool(np.all(constant.numpy() == 1)):
        return 0
    rank = len(x.shape)
    new = Insertion(graph, node, f"{total.name}_")
    split = new.constant(f"in_{g}_of_{n}_{rank}", np.array([0] * (rank - 1) + [g, n // g]))
    few = new.constant(f"ones_1_{g}", np.ones((1, g), np.int32))
    rest = new.constant(f"ones_{n // g}_1", np.ones((n // g, 1), np.int64))
    parts = new.add("MatMul", [few, new.add("Reshape", [x, split], "parts")], "partial")
    longer = new.add("Cast", [parts], "wide", to=ir.DataType.INT64.value)
    sums = new.add("MatMul", [longer, rest], "sums")
    squeezed = new.add("Squeeze", [sums, new.constant("last_axis", np.array([-1]))], "row")
    new.replace(total, squeezed)
    return 1


def _group(n: int, largest: int) -> int:
    """Return the largest divisor of n by which 32 bits hold a sum."""
    if n < _SHORTEST:
        return 0
    most = (2**31 - 1) // max(largest, 1)
    return max(g for g in range(1, n + 1) if n % g == 0 and g <= max(most, 1))
