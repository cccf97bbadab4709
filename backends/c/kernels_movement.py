"""Kernel rules for data movement.

What only renames elements costs nothing: a reshape, a squeeze, a slice or gather of leading
elements, an expansion by one are views of their operand. The rest copies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from intcc.backends.c.builder import Builder, storage_dtype, unsupported
from intcc.backends.c.kernels_phase import rotary_rows
from intcc.backends.c.literals import c_type
from intcc.backends.c.program import Argument, Kernel, View
from intcc.backends.c.shapes import ONE, Extent, dimensions, product
from intcc.backends.c.state import is_position
from intcc.ops.phases import PHASE

__all__ = ["MOVEMENT", "copy", "data_inputs"]


def data_inputs(node: ir.Node) -> list[ir.Value]:
    """Return the operands whose elements move; shapes and bounds are known to the compiler."""
    count = {"Concat": len(node.inputs), "Gather": 2}.get(node.op_type, 1)
    if node.op_type == "Shape":
        count = 0
    return [v for v in node.inputs[:count] if v is not None]


def _strides(dims: Sequence[Extent]) -> list[Extent]:
    return [product(dims[i + 1 :]) for i in range(len(dims))]


def _window(view: View, offset: Extent, dims: tuple[Extent, ...]) -> View:
    start = view.offset
    if start is not None and offset.coefficient:
        if start.power != offset.power:
            raise AssertionError("two offsets of different kind")
        offset = Extent(start.coefficient + offset.coefficient, start.power)
    elif start is not None:
        offset = start
    return replace(view, dims=dims, offset=offset if offset.coefficient else None)


def copy(
    b: Builder, rows: Extent, columns: Extent, x: View, x_step: Extent, y: View, y_step: Extent
) -> None:
    """Copy rows between two views."""
    kind = x.storage.c_type
    kernel = Kernel("ops/copy_rows", f"copy_rows_{kind.removesuffix('_t')}", {"type": kind})
    b.call(kernel, [rows, columns, x, x_step, y, y_step], [y], note=f"[{rows}, {columns}]")


def _strided(b: Builder, x: View, dims: list[Extent], strides: list[Extent], y: View) -> None:
    """Copy strided x into contiguous y; extents of one and mergeable ones vanish."""
    pairs: list[tuple[Extent, Extent]] = []
    for extent, stride in zip(dims, strides, strict=True):
        if extent == ONE:
            continue
        if pairs and stride.coefficient and pairs[-1][1] == stride * extent:
            pairs[-1] = (pairs[-1][0] * extent, stride)
        else:
            pairs.append((extent, stride))
    pairs = pairs or [(ONE, ONE)]
    kind, rank = x.storage.c_type, len(pairs)
    name = f"transpose{rank}_{kind.removesuffix('_t')}"
    kernel = Kernel("ops/transpose", name, {"type": kind, "rank": rank})
    arguments: list[Argument] = [*(p[0] for p in pairs), *(p[1] for p in pairs), x, y]
    b.call(kernel, arguments, [y], note=f"[{', '.join(map(str, y.dims))}]")


def _rename(b: Builder, node: ir.Node) -> None:
    x = b.view(node.inputs[0])
    b.alias(node.outputs[0], replace(x, dims=dimensions(node.outputs[0])))


def _transpose(b: Builder, node: ir.Node) -> None:
    x, dims = b.view(node.inputs[0]), dimensions(node.outputs[0])
    perm = list(node.attributes.get_ints("perm", tuple(reversed(range(len(x.dims))))))
    strides = [_strides(x.dims)[p] for p in perm]
    moving = [p for p in perm if x.dims[p] != ONE]
    if moving == sorted(moving):
        b.alias(node.outputs[0], replace(x, dims=dims))
        return
    _strided(b, x, list(dims), strides, b.result(node.outputs[0]))


def _expand(b: Builder, node: ir.Node) -> None:
    x, dims = b.view(node.inputs[0]), dimensions(node.outputs[0])
    if x.extent == product(dims):
        _rename(b, node)
        return
    padded = (ONE,) * (len(dims) - len(x.dims)) + x.dims
    strides = [s if e != ONE else Extent(0) for e, s in zip(padded, _strides(padded), strict=True)]
    _strided(b, x, list(dims), strides, b.result(node.outputs[0]))


def _take(b: Builder, x: View, axis: int, start: Extent, y: ir.Value) -> None:
    """Emit y = x[..., start : start + extent, ...] along one axis."""
    dims = dimensions(y)
    outer, inner = product(x.dims[:axis]), product(x.dims[axis + 1 :])
    length = dims[axis]
    if outer == ONE or length == x.dims[axis]:
        b.alias(y, _window(_trimmed(b, x, (start, length, inner)), start * inner, dims))
        return
    target = b.result(y)
    source = _window(x, start * inner, (*x.dims[:axis], length, *x.dims[axis + 1 :]))
    copy(b, outer, length * inner, source, x.dims[axis] * inner, target, length * inner)


def _trimmed(b: Builder, x: View, window: tuple[Extent, Extent, Extent]) -> View:
    """Keep only those leading rows of a constant table that some token count can reach."""
    start, length, inner = window
    data = x.storage.data
    if data is None or not start.static or not inner.static or x.offset is not None:
        return x
    used = (start.coefficient + length.at(max(b.program.max_tokens, 1))) * inner.coefficient
    if used >= data.size:
        return x
    rows = used // inner.coefficient
    storage = b.flash(data.reshape(-1, inner.coefficient)[:rows], x.storage.name)
    return View(storage, (Extent(rows), inner))


def _slice(b: Builder, node: ir.Node) -> None:
    if PHASE in node.metadata_props and is_position(node.inputs[1]):
        rotary_rows(b, node)
        return
    x = b.view(node.inputs[0])
    if is_position(node.inputs[1]):
        _rows_by_position(b, node, x)
        return
    starts = b.constant(node.inputs[1]).ravel().tolist()
    rank = len(x.dims)
    given = len(node.inputs) > 3 and node.inputs[3] is not None
    axes = b.constant(node.inputs[3]).ravel().tolist() if given else list(range(len(starts)))
    stepped = len(node.inputs) > 4 and node.inputs[4] is not None
    if stepped and (b.constant(node.inputs[4]) != 1).any():
        raise unsupported(node, "has steps other than one")
    dims = dimensions(node.outputs[0])
    cuts = [
        (axis % rank, start)
        for axis, start in zip(axes, starts, strict=True)
        if dims[axis % rank] != x.dims[axis % rank]
    ]
    if len(cuts) > 1:
        _corner(b, node, x, cuts)
        return
    if not cuts:
        _rename(b, node)
        return
    axis, start = cuts[0]
    if start < 0:
        if start == -1 and dims[axis] == ONE == product(x.dims[:axis]) and not x.last:
            inner = product(x.dims[axis + 1 :])
            if x.dims[axis] == Extent(1, 1) and inner.static:
                b.alias(node.outputs[0], replace(x, dims=dims, last=inner.coefficient))
                return
        if not x.dims[axis].static:
            raise unsupported(node, "counts from the end of the sequence")
        start += x.dims[axis].coefficient
    _take(b, x, axis, Extent(start), node.outputs[0])


def _rows_by_position(b: Builder, node: ir.Node, x: View) -> None:
    """Read the rows of a constant table from the first new token's on; the context bounds them."""
    dims, data = dimensions(node.outputs[0]), x.storage.data
    axes = [i for i, (given, kept) in enumerate(zip(x.dims, dims, strict=True)) if given != kept]
    context = b.program.context
    if len(axes) != 1 or product(dims[: axes[0]]) != ONE or data is None or not x.whole:
        raise unsupported(node, "reads rows by position along an axis that is not the first")
    rows, inner = x.dims[axes[0]].coefficient, product(dims[axes[0] + 1 :]).coefficient
    if rows < context:
        raise unsupported(node, f"has {rows} positions for a context of {context} tokens")
    kept = b.flash(data.reshape(rows, inner)[:context], x.storage.name)
    b.alias(node.outputs[0], View(kept, dims, stride=inner))


def _corner(b: Builder, node: ir.Node, x: View, cuts: list[tuple[int, int]]) -> None:
    """Cut several axes of a constant from 0 on: kept whole, for kernels that take strides."""
    data, dims = x.storage.data, dimensions(node.outputs[0])
    if data is None or any(start for _, start in cuts) or not x.whole:
        raise unsupported(node, "cuts several axes at once")
    most = max(b.program.max_tokens, 1)
    index = tuple(slice(0, d.at(most)) for d in dims)
    kept = data.reshape(tuple(e.coefficient for e in x.dims))[index]
    b.windows[node.outputs[0]] = b.flash_view(kept, str(node.outputs[0].name))


def _split(b: Builder, node: ir.Node) -> None:
    x = b.view(node.inputs[0])
    axis = node.attributes.get_int("axis", 0) % len(x.dims)
    start = 0
    for part in node.outputs:
        extent = dimensions(part)[axis]
        if not extent.static:
            raise unsupported(node, "splits the sequence")
        _take(b, x, axis, Extent(start), part)
        start += extent.coefficient


def _concat(b: Builder, node: ir.Node) -> None:
    y = b.result(node.outputs[0])
    axis = node.attributes.get_int("axis", 0) % len(y.dims)
    outer, inner = product(y.dims[:axis]), product(y.dims[axis + 1 :])
    start = Extent(0)
    for operand in node.inputs:
        x = b.view(operand)
        length = x.dims[axis]
        if start.coefficient and start.power != length.power:
            raise unsupported(node, "joins the sequence with a fixed number of rows")
        window = View(y.storage, x.dims, start * inner if start.coefficient else None)
        copy(b, outer, length * inner, x, length * inner, window, y.dims[axis] * inner)
        start = Extent(start.coefficient + length.coefficient, length.power)


def _gather(b: Builder, node: ir.Node) -> None:
    x = b.view(node.inputs[0])
    axis = node.attributes.get_int("axis", 0) % len(x.dims)
    outer, inner = product(x.dims[:axis]), product(x.dims[axis + 1 :])
    indices = b.maybe_constant(node.inputs[1])
    if indices is not None:
        flat = indices.reshape(-1).astype(np.int64)
        if (flat < 0).any():
            if not x.dims[axis].static:
                raise unsupported(node, "counts from the end of the sequence")
            flat = np.where(flat < 0, flat + x.dims[axis].coefficient, flat)
        if outer == ONE and (np.diff(flat) == 1).all():
            offset = inner * int(flat[0])
            b.alias(node.outputs[0], _window(x, offset, dimensions(node.outputs[0])))
            return
        index = b.flash_view(flat.astype(np.int32), f"{node.outputs[0].name}.index")
    else:
        index = b.view(node.inputs[1])
        if x.dims[axis].static:
            b.require_below(index, x.dims[axis].coefficient)
    y = b.result(node.outputs[0])
    kind = x.storage.c_type
    kernel = Kernel("ops/gather", f"gather_{kind.removesuffix('_t')}", {"type": kind})
    b.call(kernel, [outer, x.dims[axis], inner, x, index, index.extent, y], [y])


def _cast(b: Builder, node: ir.Node) -> None:
    x, target = b.view(node.inputs[0]), storage_dtype(node.outputs[0])
    if x.storage.dtype == target:
        _rename(b, node)
        return
    y = b.result(node.outputs[0])
    source, to = x.storage.c_type, c_type(target)
    name = f"cast_{source.removesuffix('_t')}_{to.removesuffix('_t')}"
    kernel = Kernel("ops/cast", name, {"source": source, "target": to})
    b.call(kernel, [x.extent, x, y], [y])


def _argmax(b: Builder, node: ir.Node) -> None:
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    axis = node.attributes.get_int("axis", 0) % len(x.dims)
    last = bool(node.attributes.get_int("select_last_index", 0))
    kind = x.storage.c_type
    parameters = {
        "type": kind,
        "better": ">=" if last else ">",
        "which": "last" if last else "first",
    }
    name = f"argmax_{kind.removesuffix('_t')}{'_last' if last else ''}"
    outer, inner = product(x.dims[:axis]), product(x.dims[axis + 1 :])
    b.call(Kernel("ops/argmax", name, parameters), [outer, x.dims[axis], inner, x, y], [y])


def _shape(b: Builder, node: ir.Node) -> None:
    """Extents are known to the compiler: nothing to do."""


MOVEMENT: Mapping[str, Callable[[Builder, ir.Node], None]] = {
    "ArgMax": _argmax,
    "Cast": _cast,
    "Concat": _concat,
    "Expand": _expand,
    "Flatten": _rename,
    "Gather": _gather,
    "Identity": _rename,
    "Reshape": _rename,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _rename,
    "Transpose": _transpose,
    "Unsqueeze": _rename,
}
