"""Widen tables: numbers beyond a table's ends look up copies of its ends, so nothing clips them.

    before   (acc + b) / d -> Clip lo, hi -> + offset[channel] -> look-up in tables of hi + 1
    after    (acc + b + shift * d) / d -> look-up in tables of all that the quotient can be

The shift brings each group of channels to its own table, and the dividend above zero, where
division floors; below it, flooring and truncation end in the same number, as 0 <= lo. Groups with
large divisors have the first tables, since shift * d has to fit. The tables are made from the
narrow ones when the model is loaded; what a run touches of them stays in the second cache. For a
row of 1584 channels the clip takes 420 ns and the addition 310; the look-up takes 200 more.

Exactness  integers; |acc + b + shift * d| < 2**31, by the sums of the weights of each channel.
Order      after tabulate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.onnx.insertion import Insertion
from intcc.backends.onnx.quotients import Quotient, made_by, match_quotient, numbers
from intcc.backends.onnx.ranges import Range, value_ranges

__all__ = ["LARGEST", "widen_tables"]

Array = npt.NDArray[Any]
#: Most numbers in all tables of one look-up.
LARGEST = 2**23


@dataclass(frozen=True)
class _Tables:
    """Where wide tables lie: equally long, one behind the other.

    Attributes:
        before, after: entries that each has beyond the ends of its narrow one.
        order: the narrow tables, in the order of the wide ones.
        place: of the wide table of each channel.
        total: entries of all.
    """

    before: int
    after: int
    order: Array
    place: Array
    total: int


def widen_tables(model: ir.Model, proved: Mapping[str, Range]) -> int:
    """Widen the tables of look-ups that allow it, in place; return their number.

    Args:
        model: flat; shapes are known, no node is unused.
        proved: ranges of values by name, from the proof of the dialect.
    """
    graph = model.graph
    graph.sort()
    ranges = value_ranges(graph, proved)
    look_ups = [n for n in graph if n.op_type == "GatherElements" and not n.domain]
    limits = [n for n in graph if n.op_type == "Min" and not n.domain]
    return sum(_rewrite(graph, node, ranges) for node in look_ups) + sum(
        _without_limit(graph, node, ranges) for node in limits
    )


def _rewrite(graph: ir.Graph, look_up: ir.Node, ranges: Mapping[ir.Value, Range]) -> int:
    reshape = made_by(look_up.inputs[1], "Reshape")
    places = made_by(reshape.inputs[0], "Add") if reshape is not None else None
    clip = made_by(places.inputs[0], "Clip") if places is not None else None
    quotient = match_quotient(clip, ranges)
    if quotient is None or reshape is None or places is None or clip is None:
        return 0
    offset, narrow = numbers(places.inputs[1]), look_up.inputs[0]
    if offset is None or narrow is None or look_up.attributes.get_int("axis", 0) != 1:
        return 0
    tables = _lay_out(quotient, np.broadcast_to(offset, quotient.bias.shape))
    if tables is None or tables.total > LARGEST:
        return 0
    if not quotient.shift(graph, tables.place + tables.before - quotient.lo):
        return 0
    new = Insertion(graph, look_up, f"{look_up.outputs[0].name}_")
    look_up.replace_input_with(0, _widened(new, narrow, quotient, tables))
    graph.insert_before(look_up, new.nodes)
    unclipped = clip.inputs[0]
    assert unclipped is not None
    reshape.replace_input_with(0, unclipped)
    clip.outputs[0].replace_all_uses_with(unclipped)  # by Shape
    return 1


def _without_limit(graph: ir.Graph, limit: ir.Node, ranges: Mapping[ir.Value, Range]) -> int:
    """Leave a Min out before look-ups in tables of all numbers up to it; return how many."""
    x, cap = limit.inputs[0], numbers(limit.inputs[1]) if len(limit.inputs) == 2 else None
    if x is None or x not in ranges or cap is None or cap.size != 1:
        return 0
    uses = [u for u in limit.outputs[0].uses() if u.node.op_type != "Shape"]
    rows = [u.node.outputs[0] for u in uses if u.node.op_type == "Reshape" and u.idx == 0]
    look_ups = [u.node for row in rows for u in row.uses()]
    (least, most), top = ranges[x], int(cap.reshape(()))
    if least < 0 or not 0 <= top < most < LARGEST or len(rows) != len(uses) or not look_ups:
        return 0
    if any(v.is_graph_output() for v in (limit.outputs[0], *rows)):
        return 0
    if not all(_reads_table(node, rows, top + 1) for node in look_ups):
        return 0
    for node in look_ups:
        new = Insertion(graph, node, f"{node.outputs[0].name}_")
        pads = new.constant(f"{node.outputs[0].name}_pads", np.array([0, 0, 0, most - top]))
        node.replace_input_with(0, new.add("Pad", [node.inputs[0], pads], "wide", mode="edge"))
        graph.insert_before(node, new.nodes)
    limit.outputs[0].replace_all_uses_with(x)
    graph.remove(limit, safe=True)
    return len(look_ups)


def _reads_table(node: ir.Node, rows: list[ir.Value], length: int) -> bool:
    """Tell whether a node looks up rows in a table [1, length]."""
    table = node.inputs[0]
    if node.op_type != "GatherElements" or node.domain or node.inputs[1] not in rows:
        return False
    known = table is not None and table.shape is not None and tuple(table.shape) == (1, length)
    return known and node.attributes.get_int("axis", 0) == 1


def _lay_out(quotient: Quotient, offset: Array) -> _Tables | None:
    """Return tables of all quotients, those with large divisors first.

    None where the narrow tables are not for 0 ... hi, one behind the other.
    """
    length = quotient.hi + 1
    count, group = int(offset.max()) // length + 1, offset // length
    if offset.min() < 0 or bool(np.any(offset % length)):
        return None
    before = max(0, quotient.lo - int((quotient.least // quotient.divisor).min()))
    after = max(0, int((quotient.most // quotient.divisor).max()) - quotient.hi)
    divisor = np.zeros(count, np.int64)
    np.maximum.at(divisor, group, quotient.divisor)
    order = np.argsort(-divisor, kind="stable")
    width = before + length - quotient.lo + after
    place = np.argsort(order)[group] * width
    return _Tables(before, after, order, place, count * width)


def _widened(new: Insertion, narrow: ir.Value, quotient: Quotient, tables: _Tables) -> ir.Value:
    """Append the nodes that make the wide tables [1, n] from the narrow ones."""
    name = f"{narrow.name}_wide"

    def constant(label: str, numbers: Array | list[int]) -> ir.Value:
        return new.constant(f"{name}_{label}", np.asarray(numbers, np.int64))

    length = quotient.hi + 1
    rows = new.add("Reshape", [narrow, constant("rows", [-1, length])], "tables")
    rows = new.add("Gather", [rows, constant("order", tables.order)], "sorted", axis=0)
    if quotient.lo > 0:  # no quotient looks up what lies below
        ends = [constant("first", [quotient.lo]), constant("end", [length]), constant("axis", [1])]
        rows = new.add("Slice", [rows, *ends], "reached")
    pads = constant("pads", [0, tables.before, 0, tables.after])
    wide = new.add("Pad", [rows, pads], "wide", mode="edge")
    return new.add("Reshape", [wide, constant("row", [1, -1])], "wide_row")
