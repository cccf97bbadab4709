"""Part: nodes of an integer graph that one call of an accelerator computes."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

__all__ = ["Part", "border", "in_order"]


@dataclass(frozen=True)
class Part:
    """Some nodes of a graph.

    Attributes:
        index: number of the part, from 0 on.
        nodes: in the graph's order.
        inputs: computed values that the nodes read and do not make, in order of first use.
        outputs: values that they make and others read, or that the graph gives, in order.
        macs: multiply-accumulates of one run.
    """

    index: int
    nodes: tuple[ir.Node, ...]
    inputs: tuple[ir.Value, ...]
    outputs: tuple[ir.Value, ...]
    macs: int = 0


def border(nodes: Sequence[ir.Node]) -> tuple[tuple[ir.Value, ...], tuple[ir.Value, ...]]:
    """Return the computed values that nodes read from others, and those that others read."""
    inside = set(nodes)
    inputs: dict[ir.Value, None] = {}
    outputs: dict[ir.Value, None] = {}
    for node in nodes:
        for value in node.inputs:
            if value is not None and value.const_value is None and value.producer() not in inside:
                inputs[value] = None
        for value in node.outputs:
            if value.is_graph_output() or any(use.node not in inside for use in value.uses()):
                outputs[value] = None
    return tuple(inputs), tuple(outputs)


def in_order(nodes: Iterable[ir.Node], parts: Sequence[Part]) -> list[ir.Node | Part]:
    """Return nodes and parts so that each stands behind what it reads; else in the graph's order.

    Args:
        nodes: those of the graph, those of the parts among them.
        parts: no two of them share a node.

    Raises:
        ValueError: two parts need each other.
    """
    part_of = {node: part for part in parts for node in part.nodes}
    units: dict[ir.Node | Part, list[ir.Node]] = {}
    for node in nodes:
        units.setdefault(part_of.get(node, node), []).append(node)
    rank = {unit: i for i, unit in enumerate(units)}
    unit_of = {node: unit for unit, own in units.items() for node in own}
    before = {unit: _needs(unit, own, unit_of) for unit, own in units.items()}
    after: dict[ir.Node | Part, list[ir.Node | Part]] = {unit: [] for unit in units}
    for unit, needed in before.items():
        for other in needed:
            after[other].append(unit)
    waiting = {unit: len(needed) for unit, needed in before.items()}
    listed = list(units)
    ready = [rank[unit] for unit, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    found: list[ir.Node | Part] = []
    while ready:
        unit = listed[heapq.heappop(ready)]
        found.append(unit)
        for other in after[unit]:
            waiting[other] -= 1
            if waiting[other] == 0:
                heapq.heappush(ready, rank[other])
    if len(found) != len(units):
        raise ValueError("two parts need each other")
    return found


def _needs(
    unit: ir.Node | Part, own: Sequence[ir.Node], unit_of: Mapping[ir.Node, ir.Node | Part]
) -> set[ir.Node | Part]:
    """Return the units whose values a unit reads."""
    producers = (v.producer() for node in own for v in node.inputs if v is not None)
    return {unit_of[p] for p in producers if p is not None and p in unit_of} - {unit}
