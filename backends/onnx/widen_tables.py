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
LARGEST = 2**22


@dataclass(frozen=True)
class _Tables:
    """Where tables lie, one entry for each.

    Attributes:
        first: number that the first entry is for.
        length: entries.
        base: place of the first entry.
        narrow: place of the narrow table.
        group: the table of each channel.
    """

    first: Array
    length: Array
    base: Array
    narrow: Array
    group: Array


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
    return sum(_rewrite(graph, node, ranges) for node in look_ups)


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
    by = (tables.base - tables.first)[tables.group]
    if int(tables.length.sum()) > LARGEST or not quotient.shift(graph, by):
        return 0
    wide = Insertion(graph, look_up, f"{look_up.outputs[0].name}_")
    look_up.replace_input_with(0, _widened(wide, narrow, quotient, tables))
    graph.insert_before(look_up, wide.nodes)
    unclipped = clip.inputs[0]
    assert unclipped is not None
    reshape.replace_input_with(0, unclipped)
    clip.outputs[0].replace_all_uses_with(unclipped)  # by Shape
    return 1


def _lay_out(quotient: Quotient, offset: Array) -> _Tables:
    """Return tables of all quotients, those with large divisors first."""
    narrow, group = np.unique(offset, return_inverse=True)
    first, last = np.full(narrow.size, quotient.lo), np.full(narrow.size, quotient.hi)
    np.minimum.at(first, group, quotient.least // quotient.divisor)
    np.maximum.at(last, group, quotient.most // quotient.divisor)
    length = last - first + 1
    divisor = np.zeros(narrow.size, np.int64)
    np.maximum.at(divisor, group, quotient.divisor)
    order = np.argsort(-divisor, kind="stable")
    base = np.empty(narrow.size, np.int64)
    base[order] = np.cumsum(length[order]) - length[order]
    return _Tables(first, length, base, narrow, group)


def _widened(new: Insertion, narrow: ir.Value, quotient: Quotient, tables: _Tables) -> ir.Value:
    """Append the nodes that make the wide tables [1, n] from the narrow ones.

    Along the wide tables, the places in the narrow ones are a sum of steps: a jump where a table
    begins, ones from its `lo` to its `hi`, zeros elsewhere.
    """
    lo, hi, add = quotient.lo, quotient.hi, new.add
    order = np.argsort(tables.base)
    base, first, start = (a[order, None] for a in (tables.base, tables.first, tables.narrow))
    jumps = np.diff(start, axis=0, prepend=-hi) + lo - hi
    name = f"{narrow.name}_wide"

    def constant(label: str, numbers: Array | list[Any]) -> ir.Value:
        return new.constant(f"{name}_{label}", np.asarray(numbers, np.int32))

    def extents(label: str, *lengths: int) -> ir.Value:
        return new.constant(f"{name}_{label}", np.array(lengths, np.int64))

    inside = constant("inside", np.arange(1, hi - lo + 1)[None])
    rising = add("Add", [constant("lowest", base + lo - first), inside], "rising")
    ones = add("Expand", [constant("one", [1]), extents("extents", len(base), hi - lo)], "ones")
    where = add("Concat", [constant("starts", base), rising], "where", axis=1)
    height = add("Concat", [constant("jumps", jumps), ones], "height", axis=1)
    zeros = add(
        "Expand", [constant("zero", [0]), extents("total", int(tables.length.sum()))], "zeros"
    )
    flat = extents("flat", -1)
    where, height = (
        add("Reshape", [where, flat], "places"),
        add("Reshape", [height, flat], "heights"),
    )
    steps = add("ScatterElements", [zeros, where, height], "steps")
    sums = add("CumSum", [steps, new.constant(f"{name}_axis", np.array(0, np.int64))], "sums")
    indices = add("Reshape", [sums, extents("row", 1, -1)], "indices")
    return add("GatherElements", [narrow, indices], "table", axis=1)
