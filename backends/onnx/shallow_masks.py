"""Shallow masks: what hides keys reaches no lower than it has to.

    before   s = raw + (0 or -2**28);  d = min(max s - s, cap)
    after    s = raw + (0 or -depth);  d = min(max s - s, cap)

In a row with other keys, the distance of a masked one is at least depth - (max raw - min raw); with
depth = max raw - min raw + cap that is `cap` as before. Where all keys are masked, depths cancel.
So the distances have a range that a table holds (`widen_tables`).

Exactness  integers; the range of raw says so.
Order      before widen_tables.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from intcc.backends.onnx.clean import initializer
from intcc.backends.onnx.quotients import made_by, numbers
from intcc.backends.onnx.ranges import Range, value_ranges

__all__ = ["shallow_masks"]


def shallow_masks(model: ir.Model, proved: Mapping[str, Range]) -> int:
    """Raise masks, in place; return their number. Shapes must be inferred, no node be unused."""
    graph = model.graph
    graph.sort()
    ranges = value_ranges(graph, proved)
    products = [n for n in graph if n.op_type == "Mul" and not n.domain]
    return sum(_raise(graph, node, ranges) for node in products)


def _raise(graph: ir.Graph, mask: ir.Node, ranges: Mapping[ir.Value, Range]) -> int:
    flag, number = mask.inputs
    cast, lowest = flag.producer() if flag is not None else None, numbers(number)
    if cast is None or cast.op_type != "Cast" or lowest is None or lowest.size != 1:
        return 0
    if cast.inputs[0] is None or cast.inputs[0].dtype != ir.DataType.BOOL:
        return 0
    depths = [_depth(value, node, ranges) for value, node in _readers(mask.outputs[0])]
    needed = [d for d in depths if d is not None]
    if not depths or len(needed) < len(depths) or max(needed) >= -int(lowest.reshape(())):
        return 0
    depth = np.array(-max(needed), np.int32)
    mask.replace_input_with(1, initializer(graph, f"{mask.outputs[0].name}_depth", depth))
    return 1


def _readers(value: ir.Value) -> list[tuple[ir.Value, ir.Node | None]]:
    """Return what reads a value, or the same numbers with more axes; None is a graph output."""
    found: list[tuple[ir.Value, ir.Node | None]] = []
    if value.is_graph_output():
        found.append((value, None))
    for use in value.uses():
        if use.node.op_type == "Unsqueeze":
            found.extend(_readers(use.node.outputs[0]))
        else:
            found.append((value, use.node))
    return found


def _depth(mask: ir.Value, add: ir.Node | None, ranges: Mapping[ir.Value, Range]) -> int | None:
    """Return the depth that raw scores need, None where all is not as it has to be."""
    if add is None or add.op_type != "Add" or add.domain or add.outputs[0].is_graph_output():
        return None
    raw = next((v for v in add.inputs if v is not mask), None)
    readers = {use.node.op_type: use.node for use in add.outputs[0].uses()}
    if raw is None or raw not in ranges or set(readers) != {"ReduceMax", "Sub"}:
        return None
    if len(add.outputs[0].uses()) != 2:
        return None
    top, distance = readers["ReduceMax"].outputs[0], readers["Sub"]
    if distance.inputs[0] is not top or len(top.uses()) != 1 or top.is_graph_output():
        return None
    limits = [use.node for use in distance.outputs[0].uses() if use.node.op_type != "Shape"]
    limit = limits[0] if limits else None
    if limit is None or made_by(limit.inputs[0], "Sub") is not distance or limit.op_type != "Min":
        return None
    cap = numbers(limit.inputs[1]) if len(limit.inputs) == 2 else None
    if cap is None or cap.size != 1:
        return None
    return ranges[raw][1] - ranges[raw][0] + max(0, int(cap.reshape(())))
