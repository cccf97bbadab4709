"""What the report says of the QDQ model: its scales, and what of it has 8 and 16 bits."""

from __future__ import annotations

from collections import Counter
from typing import Any

import onnx

__all__ = ["qdq_report"]


def qdq_report(model: onnx.ModelProto) -> dict[str, Any]:
    """Return the section of report.json: computed values of 8 and 16 bits, weights of 8."""
    types = {t.name: t.data_type for t in model.graph.initializer}
    properties = {p.key: p.value for p in model.metadata_props}
    tensor, nodes = onnx.TensorProto, model.graph.node
    made = Counter(types[n.input[2]] for n in nodes if n.op_type == "QuantizeLinear")
    return {
        "scales": properties["intcc.scales"],
        "int16": properties["intcc.int16"],
        "quantized_values": made[tensor.INT8] + made[tensor.UINT8],
        "int16_values": made[tensor.INT16],
        "quantized_weights": sum(
            n.op_type == "DequantizeLinear" and types.get(n.input[0]) == tensor.INT8 for n in nodes
        ),
    }
