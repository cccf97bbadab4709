"""Fold: what depends on constants alone is computed here, by onnxruntime itself.

    before   c1, c2 constants -> nodes -> y -> ...
    after    y a constant -> ...

Large results stay as nodes, which keeps the file small: onnxruntime computes those once, when it
loads the model.

Exactness  the kernels that would run later run now.
Order      before tabulate, which needs constants as such, and after it, for its tables.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import helper

from intcc.backends.onnx.clean import initializer

__all__ = ["LARGEST", "fold_constants"]

Array = npt.NDArray[Any]
#: Bytes of the largest constant that is written to the file in place of its nodes.
LARGEST = 2**16


def fold_constants(model: ir.Model) -> None:
    """Replace small constant values by initializers; shapes must be inferred."""
    graph = model.graph
    graph.sort()
    known = {id(v) for v in graph.initializers.values() if v.const_value is not None}
    nodes: list[ir.Node] = []
    for node in graph:
        constant = bool(node.inputs) and all(v is None or id(v) in known for v in node.inputs)
        if constant and all(_small(v) and not v.is_graph_output() for v in node.outputs):
            nodes.append(node)
            known.update(id(v) for v in node.outputs)
    inside = set(nodes)
    wanted = [v for n in nodes for v in n.outputs if any(u.node not in inside for u in v.uses())]
    if not wanted:
        return
    for value, array in zip(wanted, _run(model, nodes, wanted), strict=True):
        value.replace_all_uses_with(initializer(graph, f"{value.name}_folded", array))
    for node in reversed(nodes):
        graph.remove(node, safe=True)


def _small(value: ir.Value) -> bool:
    if value.shape is None or value.dtype is None or not value.shape.is_static():
        return False
    return math.prod(value.shape.numpy()) * value.dtype.itemsize <= LARGEST


def _run(model: ir.Model, nodes: list[ir.Node], wanted: list[ir.Value]) -> list[Array]:
    inputs = {v.name: v for n in nodes for v in n.inputs if v is not None}
    graph = helper.make_graph(
        [ir.to_proto(node) for node in nodes],
        "constants",
        [],
        [onnx.ValueInfoProto(name=v.name) for v in wanted],
        [ir.to_proto(v.const_value) for v in inputs.values() if v.const_value is not None],
    )
    version = model.opset_imports[""]
    proto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", version)], ir_version=model.ir_version
    )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(y) for y in session.run(None, {})]
