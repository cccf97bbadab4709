"""Models of one operator, for benchmarks of kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.ops.operator import DOMAIN
from intcc.specs import TensorSpec

Array = npt.NDArray[Any]


def graph(
    kind: str, inputs: list[ir.Value], constants: Sequence[Array], dtype: Any, shape: Any = None
) -> ir.Model:
    """Return a model of one operator; its result has the shape of the first input, or `shape`."""
    given = [
        ir.Value(
            name=f"constant{i}", const_value=ir.tensor(a), shape=ir.Shape(a.shape),
            type=ir.TensorType(ir.DataType.from_numpy(a.dtype)),
        )
        for i, a in enumerate(constants)
    ]  # fmt: skip
    result = value("y", dtype, inputs[0].shape if shape is None else shape)
    node = ir.Node(DOMAIN.domain, kind, [*inputs, *given], outputs=[result], name="kernel")
    node.metadata_props["intcc.layer"] = "kernel"
    made = ir.Graph(
        inputs, [result], nodes=[node], initializers=given, name="kernel",
        opset_imports={"": 20, DOMAIN.domain: 1},
    )  # fmt: skip
    model = ir.Model(made, ir_version=10)
    model.metadata_props.update({"intcc.name": "kernel", "intcc.max_length": "0"})
    return model


def value(name: str, dtype: Any, shape: Any) -> ir.Value:
    kind = ir.TensorType(ir.DataType.from_numpy(np.dtype(dtype)))
    return ir.Value(name=name, shape=ir.Shape(shape), type=kind)


def manifest(model: ir.Model) -> dict[str, Any]:
    """Return what runs the C of such a model."""
    g = model.graph
    return {"inputs": [_spec(v) for v in g.inputs], "outputs": [_spec(v) for v in g.outputs]}


def _spec(v: ir.Value) -> dict[str, Any]:
    assert v.shape is not None and v.dtype is not None
    shape = tuple(d if isinstance(d, int) else str(d.value) for d in v.shape)
    return TensorSpec(str(v.name), v.dtype.numpy().name, shape).to_json()
