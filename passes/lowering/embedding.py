"""Lower table look-ups: rows with one integer multiplier each.

Encoders keep 8 bits of a row. In a decoder the row is what the residual stream starts from, and 8
bits cost a decibel of the logits; there rows have 16, of which a step reads one.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.lowering.context import Lowering, Producer
from intcc.sites import constant

__all__ = ["EmbeddingProducer", "is_embedding", "lower_embedding"]


def is_embedding(node: ir.Node) -> bool:
    """Tell whether a Gather looks up rows of a constant float matrix by computed indices."""
    table, indices = node.inputs[0], node.inputs[1]
    array = constant(table)
    return (
        array is not None
        and array.ndim == 2
        and array.dtype.kind == "f"
        and constant(indices) is None
        and node.attributes.get_int("axis", 0) == 0
    )


class EmbeddingProducer(Producer):
    """Wide form of table[ids]."""

    def __init__(self, ctx: Lowering, node: ir.Node, label: str) -> None:
        """Remember the node."""
        super().__init__(ctx, node.outputs[0], label)
        self.node = node

    def make_wide(self) -> ir.Value:
        """Emit Embedding; the row's step is an integer multiple of the grid."""
        ctx = self.ctx
        table, ids = constant(self.node.inputs[0]), self.node.inputs[1]
        assert table is not None and ids is not None
        kind = np.int16 if ctx.decoder else np.int8
        steps = np.iinfo(kind).max
        step = np.abs(table).max(1, keepdims=True).astype(np.float64) / steps
        mul = np.maximum(np.ceil(step / self.unit), 1)
        rows = np.empty(table.shape, kind)
        for i in range(0, len(table), 4096):  # float64 takes more memory than the table
            part = slice(i, i + 4096)
            real = np.rint(table[part] / (mul[part] * self.unit))
            rows[part] = np.clip(real, -steps, steps)
        inputs = [
            ctx.integer(ids),
            ctx.const(rows, f"{self.value.name}.table"),
            ctx.i32(mul, f"{self.value.name}.mul"),
        ]
        return ctx.emit("Embedding", inputs, ir.DataType.INT32, self.value, scale=self.unit)


def lower_embedding(ctx: Lowering, node: ir.Node, label: str) -> None:
    """Register the producer of a table look-up."""
    ctx.producers[str(node.outputs[0].name)] = EmbeddingProducer(ctx, node, label)
