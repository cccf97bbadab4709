"""The judge: integer.onnx interpreted node by node with the operators' numpy references."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.errors import ArtifactError
from intcc.ops import OPERATORS
from intcc.runtime.movement import MOVEMENT
from intcc.specs import TensorSpec

__all__ = ["ReferenceModel", "evaluate", "evaluate_node", "load_graph"]

Array = npt.NDArray[Any]
DIALECT = "ai.intcc"


def evaluate(
    model: ir.Model,
    feeds: Mapping[str, Array],
    watch: Callable[[ir.Value, Array], None] | None = None,
) -> dict[str, Array]:
    """Run an integer graph.

    Args:
        model: a graph of ai.intcc operators and data movement.
        feeds: inputs by name.
        watch: called with every computed value.

    Raises:
        ArtifactError: the graph holds an operator that is neither.
    """
    values: dict[ir.Value, Array] = {}
    for value in model.graph.inputs:
        values[value] = feeds[str(value.name)]
    for value in model.graph.initializers.values():
        if value not in values:
            assert value.const_value is not None
            values[value] = value.const_value.numpy()
    # A value is dropped after its last reader, so that memory stays that of one layer.
    last = {v: i for i, node in enumerate(model.graph) for v in node.inputs if v is not None}
    kept = set(model.graph.outputs)
    for step, node in enumerate(model.graph):
        inputs = [None if v is None else values[v] for v in node.inputs]
        for value, array in zip(node.outputs, evaluate_node(node, inputs), strict=True):
            values[value] = array
            if watch is not None:
                watch(value, array)
        for operand in node.inputs:
            if operand is not None and last[operand] == step and operand not in kept:
                values.pop(operand, None)
    return {str(v.name): values[v] for v in model.graph.outputs}


def evaluate_node(node: ir.Node, inputs: Sequence[Any]) -> tuple[Array, ...]:
    """Run one node of an integer graph on arrays, None for absent inputs.

    Raises:
        ArtifactError: the node is no operator of an integer graph.
    """
    attributes = {a.name: a.value for a in node.attributes.values()}
    if node.domain == DIALECT and node.op_type in OPERATORS:
        return OPERATORS[node.op_type].evaluate(*inputs, **attributes)
    if node.domain == "" and node.op_type in MOVEMENT:
        return MOVEMENT[node.op_type](attributes, *inputs)
    if node.domain == "" and node.op_type == "Constant" and "value" in attributes:
        return (attributes["value"].numpy(),)
    raise ArtifactError(
        f"Node '{node.name}'",
        f"is {node.domain or 'ai.onnx'}.{node.op_type}, which an integer graph cannot hold",
        "Compile the model again with this version of intcc",
    )


def load_graph(path: Path) -> ir.Model:
    """Return the graph of an artifact's integer.onnx.

    Raises:
        ArtifactError: the file is no ONNX model.
    """
    try:
        return ir.load(path)
    except Exception as error:  # protobuf's decode errors have no common base
        raise ArtifactError(
            f"File '{path}'", f"cannot be read: {error}", "Compile the model again"
        ) from error


class ReferenceModel:
    """Runs an artifact's integer.onnx: slow, plain, and right by definition."""

    def __init__(
        self, path: Path, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
    ) -> None:
        """Load the graph.

        Raises:
            ArtifactError: the file is no ONNX model.
        """
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.model = load_graph(path)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return all outputs by name."""
        with np.errstate(over="ignore"):  # wrap-around in uint32 is part of some semantics
            return evaluate(self.model, feeds)
