"""What the report says of the QDQ model: its scales, and what of it has 8 bits."""

from __future__ import annotations

from typing import Any

import onnx

__all__ = ["qdq_report"]


def qdq_report(model: onnx.ModelProto) -> dict[str, Any]:
    """Return the section of report.json: computed values and weights of 8 bits are counted."""
    types = {t.name: t.data_type for t in model.graph.initializer}
    int8 = onnx.TensorProto.INT8
    nodes = model.graph.node
    return {
        "scales": next(p.value for p in model.metadata_props if p.key == "intcc.scales"),
        "quantized_values": sum(n.op_type == "QuantizeLinear" for n in nodes),
        "quantized_weights": sum(
            n.op_type == "DequantizeLinear" and types.get(n.input[0]) == int8 for n in nodes
        ),
    }
