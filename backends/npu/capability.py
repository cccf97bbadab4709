"""Capability: whether an accelerator computes a node, judged by the TOSA operations it becomes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import onnx_ir as ir

from intcc.backends.npu.accelerators import Accelerator
from intcc.backends.npu.part import border
from intcc.backends.tosa.emit import Evaluate, tosa_graph
from intcc.backends.tosa.graph import Graph, Type
from intcc.errors import RangeProofError, UnsupportedOperatorError
from intcc.interval import Interval

__all__ = ["lacking", "part_graph", "refusals"]

#: Elements that no accelerator of this kind computes with: token ids, masks of texts, extents.
_INDICES = "token ids, masks and extents stay with the processor"


def part_graph(
    model: ir.Model,
    nodes: Sequence[ir.Node],
    ranges: Mapping[str, Interval],
    extents: Mapping[str, int],
    evaluate: Evaluate,
    without: Collection[str] = (),
) -> Graph:
    """Return the TOSA graph of some nodes of a model.

    Args:
        model: the integer graph.
        nodes: some of its nodes; all computed values that they read become inputs.
        ranges: proved interval of every value by name.
        extents: of the symbolic dimensions.
        evaluate: runs a node whose operands are all known.
        without: TOSA operations to express by others.

    Raises:
        UnsupportedOperatorError: a node has no TOSA form.
        RangeProofError: it has none for any input in the proved interval.
    """
    inputs, outputs = border(nodes)
    made = ir.Model(ir.convenience.extract(model.graph, inputs, outputs), ir_version=10)
    made.metadata_props.update(model.metadata_props)
    for value in made.graph.inputs:
        interval = ranges[str(value.name)]
        value.metadata_props["intcc.range"] = f"{interval.min} {interval.max}"
    return tosa_graph(made, extents, evaluate, without)


def lacking(graph: Graph, accelerator: Accelerator) -> list[str]:
    """Return what an accelerator lacks for a graph, each once."""
    found: dict[str, None] = {}
    for operation in graph.operations:
        kinds = [t.type for t in operation.inputs if t.type is not Type.SHAPE]
        reason = accelerator.lacks(operation.kind, kinds[0].name)
        if reason is not None:
            found[reason] = None
    return list(found)


def refusals(
    model: ir.Model,
    accelerator: Accelerator,
    ranges: Mapping[str, Interval],
    extents: Mapping[str, int],
    evaluate: Evaluate,
) -> Callable[[ir.Node], str | None]:
    """Return a function that tells why the accelerator does not compute a node.

    It answers None for a node that the accelerator computes, and nothing ("") for one that computes
    nothing at run time.
    """

    def refused(node: ir.Node) -> str | None:
        inputs, outputs = border([node])
        if not inputs or not outputs:
            return ""
        if any(v.dtype == ir.DataType.INT64 for v in (*inputs, *outputs)):
            return "" if node.domain == "" else _INDICES
        try:
            graph = part_graph(model, [node], ranges, extents, evaluate, accelerator.without)
        except (UnsupportedOperatorError, RangeProofError) as error:
            return str(error)
        return "; ".join(lacking(graph, accelerator)) or None

    return refused
