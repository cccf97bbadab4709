"""Fusion: which neighbouring nodes become one call.

    Linear -> Gelu          the activation runs in the epilogue of the product
    LinearWide -> Add       the product is added onto the residual stream
    LinearDynamic -> SaturatingAdd    likewise

Both need a value with one reader that is no output of the model. The fused call stands where the
second node stood, when all operands of both exist.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from intcc.backends.c.shapes import dimensions

__all__ = ["DIALECT", "Fusions"]

DIALECT = "ai.intcc"
#: Products that are added onto a residual stream, by what adds them.
_SUMS = {
    "LinearWide": "Add",
    "LinearDynamic": "SaturatingAdd",
    "LinearDynamicFull": "SaturatingAdd",
}


def _sole_reader(value: ir.Value, kind: str) -> ir.Node | None:
    uses = value.uses()
    if len(uses) != 1 or value.is_graph_output():
        return None
    node = next(iter(uses)).node
    return node if node.domain == DIALECT and node.op_type == kind else None


class Fusions:
    """The fusions of a graph.

    Attributes:
        absorbed: nodes that are part of a later node's call.
        partner: for that later node, the node it absorbs.
    """

    def __init__(
        self, graph: ir.Graph, apart: Callable[[ir.Node], bool] = lambda node: False
    ) -> None:
        """Find all fusions.

        Args:
            graph: the integer graph.
            apart: tells nodes that have calls of their own.
        """
        self.absorbed: set[ir.Node] = set()
        self.partner: dict[ir.Node, ir.Node] = {}
        for node in graph:
            if node.domain != DIALECT or apart(node):
                continue
            follower: ir.Node | None = None
            if node.op_type == "Linear":
                follower = _sole_reader(node.outputs[0], "Gelu")
            elif node.op_type in _SUMS:
                follower = _sole_reader(node.outputs[0], _SUMS[node.op_type])
                if follower is not None and not self._residual(node, follower):
                    follower = None
            if follower is None or apart(follower):
                continue
            if follower not in self.partner:
                self.absorbed.add(node)
                self.partner[follower] = node

    @staticmethod
    def _residual(product: ir.Node, add: ir.Node) -> bool:
        """Whether the sum has the product's extents and so has the other operand."""
        extents = [dimensions(v) for v in (*add.inputs, add.outputs[0]) if v is not None]
        stripped = [tuple(e for e in one if e.at(2) != 1) for one in extents]
        return len(extents) == 3 and stripped[0] == stripped[1] == stripped[2]
