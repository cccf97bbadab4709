"""Calls of an NPU's parts: each is one call of a hook that the caller defines.

A part is compiled for the largest token count, and its buffers hold that many rows. So the last
row of a shorter text is repeated in the rows behind it, which are valid rows then, and a key mask
closes them: no bit of the text's own rows depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from intcc.backends.c.builder import Builder
from intcc.backends.c.kernels_movement import copy
from intcc.backends.c.program import Kernel, Place, Program, View
from intcc.backends.c.shapes import ONE, TOKENS, Extent, dimensions
from intcc.backends.npu.part import Part
from intcc.errors import UnsupportedOperatorError
from intcc.ops.key_mask import MASKED

__all__ = ["has_rows", "npu_call", "npu_context"]

_ROWS = Extent(1, 1)


def has_rows(value: ir.Value) -> bool:
    """Tell whether a value has fixed extents, or tokens as its first extent beside the batch."""
    try:
        dims = dimensions(value)
    except UnsupportedOperatorError:
        return False
    moving = [d for d in dims if d != ONE]
    first = not moving or moving[0].static or moving[0] == _ROWS
    return first and all(d.static for d in moving[1:])


def _filled(b: Builder, view: View) -> View:
    """Return a view whose rows behind the last token repeat it."""
    if view.extent.static or view.storage.padded:
        return view
    columns = view.extent // _ROWS
    if view.storage.place is not Place.ARENA or not view.whole:
        storage = b.storage(f"{view.storage.name}.npu", view.storage.dtype, view.extent)
        moved = View(storage, view.dims)
        copy(b, ONE, view.extent, view, view.extent, moved, view.extent)
        view = moved
    kind = view.storage.c_type
    kernel = Kernel("npu/fill_rows", f"fill_rows_{kind.removesuffix('_t')}", {"type": kind})
    b.call(kernel, [TOKENS, b.program.max_tokens, columns, view], [view])
    return view


def _operand(b: Builder, value: ir.Value) -> View:
    if value not in b.zeros:
        return _filled(b, b.view(value))
    most = b.program.max_tokens
    storage = b.storage(f"{value.name}.npu", "int32", Extent(most))
    view = View(storage, (Extent(most),))
    kernel = Kernel("npu/key_mask", "key_mask", {"masked": MASKED})
    b.call(kernel, [TOKENS, most, view], [view])
    return view


def npu_call(b: Builder, part: Part) -> None:
    """Emit one call of the hook."""
    b.layer, b.operator = f"NPU part {part.index}", "NPU"
    inputs = [_operand(b, value) for value in part.inputs]
    outputs = [b.result(value) for value in part.outputs]
    for view in outputs:
        view.storage.padded = not view.extent.static
    parameters = {
        "index": part.index,
        "model": b.program.name,
        "inputs": [v.storage.c_type for v in inputs],
        "outputs": [v.storage.c_type for v in outputs],
    }
    kernel = Kernel("npu/part", f"npu_part{part.index}", parameters)
    nodes = f"{len(part.nodes)} operators"
    b.call(kernel, [*inputs, *outputs], outputs, note=nodes, macs=Extent(part.macs))
    b.program.calls[-1].fails = f"{b.program.name.upper()}_NPU"


def npu_context(program: Program, parts: Sequence[Part]) -> dict[str, Any]:
    """Return what the header shows of the parts."""

    def rows(values: Sequence[ir.Value], what: str) -> list[str]:
        shapes = []
        for i, value in enumerate(values):
            dims = [d.at(program.max_tokens) for d in dimensions(value)]
            kind = value.dtype.name.lower() if value.dtype is not None else ""
            shapes.append(f"{what}[{i}] {kind} {dims}")
        return shapes

    return {
        "npu": [
            {"index": p.index, "rows": rows(p.inputs, "in") + rows(p.outputs, "out")} for p in parts
        ]
    }
