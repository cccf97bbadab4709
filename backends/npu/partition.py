"""Partition: which nodes of a graph an accelerator computes, in how many parts.

    1. A node is the accelerator's where nothing speaks against it: see `capability`, `padding`.
    2. Nodes fall into levels: a level ends where a path leaves the accelerator. The connected nodes
       of a level are a part. So parts are convex, and as large as they can be.
    3. A value that crosses a border lies in the arena of the C with its tokens along the first
       axis beside the batch; a node that would hand over another one stays with the processor.
    4. A part with few products is not worth its call.

3 and 4 give nodes back, which changes levels, so all is repeated until nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from intcc.backends.c.npu_call import has_rows
from intcc.backends.npu.padding import sees_padding
from intcc.backends.npu.part import Part, border

__all__ = ["Partition", "partition"]

#: Products of a part that is worth a call, as a share of the graph's.
LEAST_SHARE = 0.002


@dataclass(frozen=True)
class Partition:
    """Where every node is placed.

    Attributes:
        parts: the accelerator's, in order of execution.
        reasons: why a node is the processor's; nodes that compute nothing have none.
        macs: multiply-accumulates of the whole graph.
    """

    parts: tuple[Part, ...]
    reasons: Mapping[ir.Node, str]
    macs: int

    @property
    def share(self) -> float:
        """Share of the multiply-accumulates that parts compute."""
        return sum(part.macs for part in self.parts) / self.macs if self.macs else 0.0


def partition(
    graph: ir.Graph,
    refused: Callable[[ir.Node], str | None],
    macs: Callable[[ir.Node], int],
    least: float = LEAST_SHARE,
) -> Partition:
    """Return the parts of a graph.

    Args:
        graph: operators of ai.intcc and data movement.
        refused: why the accelerator does not compute a node; None where it does.
        macs: multiply-accumulates of a node.
        least: products of the smallest part, as a share of the graph's.
    """
    reasons: dict[ir.Node, str] = {}
    for node in graph:
        reason = refused(node)
        if reason is None:
            reason = sees_padding(node)
        if reason is not None:
            reasons[node] = reason
    total = sum(map(macs, graph))
    while True:
        groups = _groups(graph, reasons)
        given = _unfit(groups) or _small(groups, macs, least * total)
        if not given:
            break
        reasons.update(given)
    parts = tuple(
        Part(index, tuple(nodes), *border(nodes), macs=sum(map(macs, nodes)))
        for index, nodes in enumerate(groups)
    )
    return Partition(parts, {n: r for n, r in reasons.items() if r}, total)


def _groups(graph: ir.Graph, reasons: Mapping[ir.Node, str]) -> list[list[ir.Node]]:
    """Return the connected nodes of every level, in order."""
    level: dict[ir.Node, int] = {}
    for node in graph:
        own = 0
        for producer in _producers(node):
            leaves = node in reasons and producer not in reasons
            own = max(own, level[producer] + leaves)
        level[node] = own
    group: dict[ir.Node, list[ir.Node]] = {}
    for node in graph:
        if node in reasons:
            continue
        joined = [node]
        near = {
            id(group[p]): group[p]
            for p in _producers(node)
            if p not in reasons and level[p] == level[node]
        }
        for other in near.values():
            joined = [*other, *joined]
        for member in joined:
            group[member] = joined
    place = {node: i for i, node in enumerate(graph)}
    found = {id(nodes): sorted(nodes, key=place.__getitem__) for nodes in group.values()}
    return sorted(found.values(), key=lambda nodes: (level[nodes[0]], place[nodes[0]]))


def _producers(node: ir.Node) -> Iterable[ir.Node]:
    producers = (value.producer() for value in node.inputs if value is not None)
    return [p for p in producers if p is not None]


def _unfit(groups: Sequence[Sequence[ir.Node]]) -> dict[ir.Node, str]:
    """Return the nodes at borders whose values cannot be handed over."""
    found: dict[ir.Node, str] = {}
    for nodes in groups:
        inside = set(nodes)
        inputs, outputs = border(nodes)
        for value in (*inputs, *outputs):
            if has_rows(value) and value.dtype != ir.DataType.INT64:
                continue
            near = [value.producer()] if value in outputs else [u.node for u in value.uses()]
            what = f"{value.name} of shape {value.shape}"
            for node in near:
                if node in inside and node is not None:
                    found[node] = f"its border {what} has no rows of tokens"
    return found


def _small(
    groups: Sequence[Sequence[ir.Node]], macs: Callable[[ir.Node], int], least: float
) -> dict[ir.Node, str]:
    """Return the nodes of parts that are not worth a call."""
    found: dict[ir.Node, str] = {}
    for nodes in groups:
        count = sum(map(macs, nodes))
        if count <= least:
            reason = (
                f"its neighbours on the accelerator have {count:,} products, too few for a call"
            )
            found.update(dict.fromkeys(nodes, reason))
    return found
