"""New nodes of a flat graph, collected in order, before they take the place of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.onnx.clean import initializer

__all__ = ["Insertion"]


class Insertion:
    """Nodes that are to stand beside another one.

    Attributes:
        graph: where they go.
        nodes: in order.
    """

    def __init__(self, graph: ir.Graph, model: ir.Node, prefix: str = "") -> None:
        """Start empty.

        Args:
            graph: where the nodes go.
            model: the node whose metadata, as its layer's name, they have.
            prefix: of all names.
        """
        self.graph = graph
        self.nodes: list[ir.Node] = []
        self._model = model
        self._prefix = prefix

    def add(
        self, kind: str, inputs: Sequence[ir.Value | None], name: str, **attributes: Any
    ) -> ir.Value:
        """Append a node; return its output."""
        value = ir.Value(name=f"{self._prefix}{name}")
        node = ir.node(kind, inputs, attributes, outputs=[value], name=str(value.name))
        node.metadata_props.update(self._model.metadata_props)
        self.nodes.append(node)
        return value

    def constant(self, name: str, array: npt.NDArray[Any]) -> ir.Value:
        """Return an initializer of that name, a new one if there is none."""
        return initializer(self.graph, name, array)

    def replace(self, old: ir.Value, new: ir.Value) -> None:
        """Insert the nodes in place of the one that makes `old`, and let `new` stand for that.

        Not for results of the graph, which keep their names.
        """
        node = old.producer()
        assert node is not None
        new.type, new.shape = old.type, old.shape
        self.graph.insert_before(node, self.nodes)
        old.replace_all_uses_with(new)
        self.graph.remove(node, safe=True)
