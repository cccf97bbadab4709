"""Kernel rules for per-row scales and for products of two computed matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from intcc.backends.c import ternary
from intcc.backends.c.builder import Builder, unsupported
from intcc.backends.c.kernels_rows import SUMS
from intcc.backends.c.matmul import FORMS, VECTOR, form_of, packed_weight, suffix_of, tile_of
from intcc.backends.c.program import Argument, InPlace, Kernel, View
from intcc.backends.c.shapes import ONE, Extent, dimensions, product
from intcc.ops import rows as norm
from intcc.ops.dynamic_quantize import LARGEST_MANTISSA

__all__ = [
    "Batch",
    "batch",
    "batch_matmul",
    "dynamic_quantize",
    "linear_dynamic",
    "linear_dynamic_add",
]


#: On x86, the largest of a row and its codes.
_CODES = Kernel("kernels/vector_codes", "vector_codes", needs=(SUMS,))
#: Rescaling of whole tiles on x86.
_ROW_SCALES = Kernel("kernels/vector_row_scales", "vector_row_scales", needs=(VECTOR,))


def dynamic_quantize(b: Builder, node: ir.Node) -> None:
    """Emit q, m, k of every row."""
    x = b.view(node.inputs[0])
    q, m, k = (b.result(v) for v in node.outputs)
    if not x.columns.static:
        raise unsupported(node, "has rows of variable length")
    needs = (_CODES,) if b.target.on_x86("ops/dynamic_quantize") else ()
    parameters = {"row_bits": norm.ROW_BITS}
    kernel = Kernel("ops/dynamic_quantize", "dynamic_quantize", parameters, needs)
    b.call(kernel, [x.rows, x.columns, x, q, m, k], [q, m, k], note=f"[{x.rows}, {x.columns}]")


def _linear_dynamic(b: Builder, node: ir.Node, y: View, residual: View | None) -> None:
    q, m, k = (b.view(v) for v in node.inputs[:3])
    weight = b.constant(node.inputs[3])
    inner, columns = weight.shape
    stem = str(node.outputs[0].name)
    factor, offsets = b.constant(node.inputs[4]), b.constant(node.inputs[6])
    mul, mul_argument = b.vector(factor, "mul", f"{stem}.mul")
    shift = b.scalar(node.inputs[5])
    bias, bias_arguments = None, []
    if offsets.any():
        bias, argument = b.vector(offsets, "bias", f"{stem}.bias")
        bias_arguments = [argument]
    # m * mul fits 32 bits, and then one product of 32 by 32 bits does: what most machines have.
    short = LARGEST_MANTISSA * int(factor.max()) < 2**31
    vectors = short and int(np.abs(offsets).max(initial=0)) <= 2**29
    packing = ternary.packing_of(b.target) if ternary.is_ternary(weight) else None
    matmul = b.target.matmul
    form = form_of(b, node.inputs[0], weight)
    if packing and form.ternary and b.target.ternary == "2bit":
        form, packing = FORMS[form.ternary], None
    if packing:
        tile = ternary.tile_of(b, inner, q.rows, packing)
        packed = ternary.packed_weight(b, node.inputs[3], packing)
    else:
        tile = tile_of(b, inner, q.rows, form)
        packed = packed_weight(b, node.inputs[3], form)
    height = tile.rows
    lift, sums, center = 128 - tile.center, None, []
    if lift:
        totals = weight.sum(0, dtype=np.int32)
        sums, argument = b.vector(totals, "sums", f"{stem}.sums")
        center = [argument]

    ranges, span = b.ranged(columns, matmul.tile, "columns")

    def kernel(suffix: str) -> Kernel:
        code = "".join(v.code for v in (sums, mul, bias) if v) + ("n" if short else "")
        name = f"linear_dynamic_k{inner}_{code}{suffix}"
        name += f"_{packing.code}" if packing else suffix_of(b, form)
        if b.target.threads and not span:
            name += "_whole"
        if height != (ternary.rows_of(b.target) if packing else matmul.rows):
            name += f"_r{height}"
        parameters = {
            **ranges,
            "k": inner,
            "stride": tile.stride,
            "rows": height,
            "most": tile.most,
            "tile": matmul.tile,
            "tile_kernel": tile.kernel.name,
            "whole": tile.whole,
            "lift": lift,
            "sums": sums,
            "mul": mul,
            "bias": bias,
            "short": short,
            "vectors": vectors,
            "residual": bool(suffix),
        }
        stack = 4 * tile.most * matmul.tile + tile.kernel.stack
        # The rescale in vectors needs their functions, which a tile of ternary weights does not.
        scales = (_ROW_SCALES,) if tile.whole and vectors else ()
        needs = (*(form.needs if form.dot else ()), *scales, tile.kernel)
        return Kernel("ops/linear_dynamic", name, parameters, needs, stack)

    head: list[Argument] = [
        *span, q.rows, columns, q, m, k, packed, *center, mul_argument, shift, *bias_arguments,
    ]  # fmt: skip
    note, macs = f"[{q.rows}, {inner}] x [{inner}, {columns}]", q.rows * (inner * columns)
    if residual is None:
        b.call(kernel(""), [*head, y], [y], note=note, macs=macs)
        return
    # One function for both: it reads an element of the residual before it writes the same one of y.
    added = kernel("_add")
    onto = InPlace(residual, added, (*head, y, y))
    b.call(added, [*head, residual, y], [y], note=note, macs=macs, in_place=[onto])


def linear_dynamic(b: Builder, node: ir.Node) -> None:
    """Emit y = clip(rsh((q - 128) @ weight * m * mul, shift - k) + bias)."""
    _linear_dynamic(b, node, b.result(node.outputs[0]), None)


def linear_dynamic_add(b: Builder, node: ir.Node, add: ir.Node) -> None:
    """LinearDynamic and the SaturatingAdd after it."""
    other = add.inputs[1] if add.inputs[0] is node.outputs[0] else add.inputs[0]
    _linear_dynamic(b, node, b.result(add.outputs[0]), b.view(other))


@dataclass(frozen=True)
class Batch:
    """Extents of `count` products [rows][inner] times [inner][columns]."""

    count: Extent
    rows: Extent
    inner: Extent
    columns: Extent

    @property
    def note(self) -> str:
        """Shapes, as a comment."""
        return f"{self.count} x [{self.rows}, {self.inner}] x [{self.inner}, {self.columns}]"

    @property
    def macs(self) -> Extent:
        """Multiply-accumulates."""
        return self.count * self.rows * self.inner * self.columns


def batch(b: Builder, node: ir.Node) -> Batch:
    """Return the extents of a BatchMatMul.

    Raises:
        UnsupportedOperatorError: a left matrix is multiplied by several right ones.
    """
    left, right = b.view(node.inputs[0]), b.view(node.inputs[2])
    rows, inner, columns = left.dims[-2], left.dims[-1], right.dims[-1]
    count = product(dimensions(node.outputs[0])[:-2])
    if product(left.dims[:-2]) != count or product(right.dims[:-2]) not in (ONE, count):
        raise unsupported(node, "repeats its left operand")
    if product(right.dims[:-2]) == ONE:
        # One right matrix for all: the left ones are one tall matrix.
        rows, count = rows * count, ONE
    return Batch(count, rows, inner, columns)


def batch_matmul(b: Builder, node: ir.Node) -> None:
    """Emit y = (a - zero) @ (b - 128), matrix by matrix."""
    size = batch(b, node)
    left, right, y = b.view(node.inputs[0]), b.view(node.inputs[2]), b.result(node.outputs[0])
    step = right.dims[-2] * right.dims[-1]
    stem = str(node.outputs[0].name)
    packed = b.storage(f"{stem}.packed", np.int16, size.inner * size.columns, scratch=True)
    line = b.storage(f"{stem}.line", np.int16, size.inner, scratch=True)
    views = [View(s, (s.extent,)) for s in (packed, line)]
    zero = b.scalar(node.inputs[1])
    arguments: list[Argument] = [
        size.count, size.rows, size.inner, size.columns, step, left, zero, right, *views, y,
    ]  # fmt: skip
    b.call(
        Kernel("ops/batch_matmul", "batch_matmul"),
        arguments,
        [y],
        note=size.note,
        macs=size.macs,
        scratch=[packed, line],
    )
