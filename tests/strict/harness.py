"""Small graphs before and after a pass, both run by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import helper, numpy_helper
from onnx_ir.passes.common import ShapeInferencePass

Array = npt.NDArray[Any]


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """Return a node named after its first output; names are separated by blanks."""
    return helper.make_node(
        kind, inputs.split(), outputs.split(), outputs.split()[0] + "_node", **attributes
    )


def flat(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[type[np.generic], Sequence[int | str]]],
    outputs: Mapping[str, type[np.generic]],
    constants: Mapping[str, Array],
) -> ir.Model:
    """Return a graph with inferred shapes."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.dtype(t)), shape)
            for n, (t, shape) in inputs.items()
        ],
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.dtype(t)), None)
            for n, t in outputs.items()
        ],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    model = ir.from_proto(proto)
    ShapeInferencePass()(model)
    return model


def kinds(model: ir.Model) -> list[str]:
    """Operator types in graph order."""
    return [n.op_type for n in model.graph]


def run(model: ir.Model, feeds: Mapping[str, Array], level: str = "ENABLE_ALL") -> list[Array]:
    """Run a graph."""
    proto = ir.to_proto(model)
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_{level}")
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(y) for y in session.run(None, dict(feeds))]


def same(before: Sequence[Array], model: ir.Model, feeds: Mapping[str, Array]) -> None:
    """Assert that a changed graph gives the bits from before at all optimisation levels."""
    for level in ("DISABLE_ALL", "ENABLE_BASIC", "ENABLE_ALL"):
        for a, b in zip(before, run(model, feeds, level), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
