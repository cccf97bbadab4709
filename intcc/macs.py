"""Multiply-accumulates of one node of an integer graph."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

__all__ = ["node_macs"]


def node_macs(node: ir.Node, length: int) -> int:
    """Return the 8-bit products of one node at batch 1 and the given length."""

    def size(value: ir.Value | None, dims: slice) -> int:
        assert value is not None and value.shape is not None
        bound = {"batch": 1}
        extents = [d if isinstance(d, int) else bound.get(str(d), length) for d in value.shape]
        return int(np.prod(extents[dims], dtype=np.int64))

    if node.op_type.startswith("Linear"):
        weight = next(v for v in node.inputs if v is not None and v.dtype == ir.DataType.INT8)
        return size(node.inputs[0], slice(-1)) * size(weight, slice(None))
    if node.op_type == "BatchMatMul":
        return size(node.outputs[0], slice(None)) * size(node.inputs[0], slice(-1, None))
    if node.op_type == "Attention":
        keys = size(node.inputs[1], slice(-2, -1))
        return 2 * keys * size(node.inputs[0], slice(None))
    if node.op_type in ("Conv", "ConvWide"):
        taps = size(node.inputs[2], slice(1, None))
        return size(node.outputs[0], slice(None)) * taps
    return 0
