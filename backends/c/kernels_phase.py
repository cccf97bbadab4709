"""Kernel rule for rotary rows by position that are computed, not stored: see `ops.phases`."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.backends.c.builder import Builder, unsupported
from intcc.backends.c.program import Argument, Kernel
from intcc.backends.c.shapes import ONE, product
from intcc.ops.phases import PHASE, SINE, Phases

__all__ = ["rotary_rows"]


def rotary_rows(b: Builder, node: ir.Node) -> None:
    """Compute the rows of the new tokens' positions from their phases."""
    phases = Phases.decode(node.metadata_props[PHASE])
    columns, context = len(phases.increments), b.program.context
    table = b.constant(node.inputs[0])
    if table.size % columns or table.size < columns * context:
        raise unsupported(node, f"has fewer rows than the {context} tokens of its context")
    rows = table.reshape(-1, columns)
    if not np.array_equal(phases.rows(len(rows)), rows):
        raise unsupported(node, "has a table of other numbers than its phases")
    y = b.result(node.outputs[0])
    if product(y.dims[:1]) != ONE or y.columns.coefficient != columns:
        raise unsupported(node, "reads rows by position along an axis that is not the first")
    kernel = Kernel("ops/rotary_rows", f"rotary_rows_r{2 * columns}", {"half": columns})
    increments = b.flash_view(np.array(phases.increments, np.uint32), "rotary.increments", hot=True)
    arguments: list[Argument] = [
        y.rows, "position", f"{phases.start}u", f"{phases.gain}u",
        increments, b.flash_view(SINE, "quarter_sine", hot=True), y,
    ]  # fmt: skip
    b.call(kernel, arguments, [y], note=f"[{y.rows}, {columns}]")
