"""Kernel rules for element by element operators.

Add, SaturatingAdd, Product, Quantize, Affine, Widen, Rescale, Relu, Clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from intcc.backends.c.builder import Builder, Vector, unsupported
from intcc.backends.c.divide import division
from intcc.backends.c.kernels_linear import quotient
from intcc.backends.c.matmul import VECTOR
from intcc.backends.c.program import Argument, InPlace, Kernel, View
from intcc.backends.c.shapes import Extent

__all__ = [
    "add", "affine", "clip", "pointwise", "product", "quantize", "relu", "rescale",
    "saturating_add", "widen",
]  # fmt: skip

_SOURCE = "const int32_t *restrict x, "


def pointwise(
    b: Builder,
    template: str,
    name: str,
    x: View,
    y: View,
    head: Sequence[Argument],
    tail: Sequence[Argument],
    parameters: dict[str, Any] | None = None,
    *,
    swap: View | None = None,
    needs: tuple[Kernel, ...] = (),
) -> None:
    """Call an int32 to int32 kernel that may overwrite its input.

    Args:
        b: the program.
        template: stem below ops/.
        name: function name of the form that does not overwrite.
        x: input.
        y: result.
        head: arguments before x.
        tail: arguments between x and y.
        parameters: what the template needs beside `x` and `source`.
        swap: the argument of `tail` that may change places with x.
        needs: kernels called, beside those of vectors where the target has a form in vectors.
    """
    more = parameters or {}
    if b.target.on_x86(f"ops/{template}"):
        needs = (VECTOR, *needs)
    apart = Kernel(f"ops/{template}", name, {**more, "x": "x", "source": _SOURCE}, needs)
    onto = Kernel(f"ops/{template}", f"{name}_inplace", {**more, "x": "y", "source": ""}, needs)
    forms = [InPlace(x, onto, (*head, *tail, y))]
    if swap is not None:
        swapped = (x if argument is swap else argument for argument in tail)
        forms.append(InPlace(swap, onto, (*head, *swapped, y)))
    b.call(apart, [*head, x, *tail, y], [y], note=_note(y), in_place=forms)


def _note(view: View) -> str:
    return f"[{', '.join(map(str, view.dims))}]"


def _per_channel(
    b: Builder, node: ir.Node, x: View, vectors: Sequence[Vector]
) -> tuple[Extent, Extent]:
    """Return rows and columns; where no parameter is an array one row holds all elements."""
    if not x.columns.static and any(v.per_channel for v in vectors):
        raise unsupported(node, "has one parameter per token")
    return x.rows, x.columns


def quantize(b: Builder, node: ir.Node) -> None:
    """Emit y = clip((x * mul + bias) / divisor, lo, hi)."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    stem = str(node.outputs[0].name)
    mul, mul_argument = b.vector(b.constant(node.inputs[1]), "scale", f"{stem}.scale")
    bias, bias_argument = b.vector(b.constant(node.inputs[2]), "bias", f"{stem}.bias")
    d = division(b.constant(node.inputs[3]).reshape(-1), np.asarray(2**31 - 1))
    by = quotient(b, d, stem, "j")
    rows, columns = _per_channel(b, node, x, [mul, bias])
    parameters = {
        "columns": "columns" if not columns.static else str(columns),
        "mul": mul,
        "bias": bias,
        "divisor": by.declaration,
        "quotient": by.expression,
    }
    if not columns.static:
        raise unsupported(node, "has rows of variable length")
    name = f"quantize_c{columns}_{mul.code}{bias.code}{by.code}"
    kernel = Kernel("ops/quantize", name, parameters, by.needs)
    lo, hi = b.scalar(node.inputs[4]), b.scalar(node.inputs[5])
    b.call(
        kernel, [rows, x, mul_argument, bias_argument, *by.arguments, lo, hi, y], [y], note=_note(y)
    )


def affine(b: Builder, node: ir.Node) -> None:
    """Emit y = x * mul + bias."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    stem = str(node.outputs[0].name)
    mul, mul_argument = b.vector(b.constant(node.inputs[1]), "mul", f"{stem}.mul")
    bias, bias_argument = b.vector(b.constant(node.inputs[2]), "bias", f"{stem}.bias")
    rows, columns = _per_channel(b, node, x, [mul, bias])
    if not columns.static:
        rows, columns = rows * columns, Extent(1)
    name = f"affine_c{columns}_{mul.code}{bias.code}"
    parameters = {"columns": str(columns), "mul": mul, "bias": bias}
    pointwise(b, "affine", name, x, y, [rows], [mul_argument, bias_argument], parameters)


def widen(b: Builder, node: ir.Node) -> None:
    """Emit y = (x - zero) * mul."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    stem = str(node.outputs[0].name)
    zero, zero_argument = b.vector(b.constant(node.inputs[1]), "zero", f"{stem}.zero")
    mul, mul_argument = b.vector(b.constant(node.inputs[2]), "mul", f"{stem}.mul")
    rows, columns = _per_channel(b, node, x, [zero, mul])
    if not columns.static:
        rows, columns = rows * columns, Extent(1)
    parameters = {"columns": str(columns), "zero": zero, "mul": mul}
    kernel = Kernel("ops/widen", f"widen_c{columns}_{zero.code}{mul.code}", parameters)
    b.call(kernel, [rows, x, zero_argument, mul_argument, y], [y], note=_note(y))


def rescale(b: Builder, node: ir.Node) -> None:
    """Emit y = clip(rsh(x * mul, shift), lo, hi)."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    stem = str(node.outputs[0].name)
    mul, mul_argument = b.vector(b.constant(node.inputs[1]), "mul", f"{stem}.mul")
    shift, lo, hi = (b.scalar(v) for v in node.inputs[2:5])
    rows, columns = _per_channel(b, node, x, [mul])
    if not columns.static:
        rows, columns = rows * columns, Extent(1)
    name = f"rescale_c{columns}_{mul.code}"
    parameters = {"columns": str(columns), "mul": mul}
    pointwise(b, "rescale", name, x, y, [rows], [mul_argument, shift, lo, hi], parameters)


def relu(b: Builder, node: ir.Node) -> None:
    """Emit y = max(x, 0)."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    pointwise(b, "relu", "relu", x, y, [x.extent], [])


def clip(b: Builder, node: ir.Node) -> None:
    """Emit y = min(max(x, lo), hi)."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    limits = [b.scalar(v) for v in node.inputs[1:]]
    pointwise(b, "clip", "clip", x, y, [x.extent], limits)


def add(b: Builder, node: ir.Node) -> None:
    """Emit y = first + second, with broadcasting of one of them."""
    _sum(b, node, "add")


def saturating_add(b: Builder, node: ir.Node) -> None:
    """Emit y = clip(first + second), with broadcasting of one of them."""
    _sum(b, node, "saturating_add")


def _sum(b: Builder, node: ir.Node, template: str) -> None:
    first, second = node.inputs
    assert first is not None and second is not None
    zero = [b.is_zero(v) for v in (first, second)]
    if all(zero):
        b.zeros.add(node.outputs[0])
        return
    if any(zero):
        b.same(node.outputs[0], second if zero[0] else first)
        return
    x, other, y = b.view(first), b.view(second), b.result(node.outputs[0])
    if x.extent != y.extent:
        x, other = other, x
    shown = _significant(other.dims)
    if (
        x.extent != y.extent
        or _significant(y.dims)[len(_significant(y.dims)) - len(shown) :] != shown
    ):
        raise unsupported(node, f"broadcasts {_note(x)} and {_note(other)}")
    columns = other.extent
    vector = Vector("b", "int32_t", columns != Extent(1))
    argument: Argument = other
    constant = b.maybe_constant(second if other is b.view(second) else first)
    if not vector.per_channel:
        if constant is None:
            raise unsupported(node, "adds a computed scalar")
        argument, columns = int(constant.reshape(-1)[0]), x.extent
    rows = x.extent // columns
    swap = other if argument is other and other.extent == x.extent else None
    name, more = f"{template}_{vector.code}", {"addend": vector}
    pointwise(b, template, name, x, y, [rows, columns], [argument], more, swap=swap)


def product(b: Builder, node: ir.Node) -> None:
    """Emit y = clip(rsh(first * second, shift), lo, hi); one may repeat along an axis."""
    x, other, y = b.view(node.inputs[0]), b.view(node.inputs[1]), b.result(node.outputs[0])
    limits: list[Argument] = [b.scalar(v) for v in node.inputs[2:5]]
    if x == other:
        more = {"operand": "", "factor": "a", "meaning": "the same", "vector_factor": "a"}
        head: list[Argument] = [Extent(1), y.extent]
        pointwise(b, "product", "product_square", x, y, head, limits, more)
        return
    if x.extent != y.extent:
        x, other = other, x
    shown, whole = _significant(other.dims), _significant(y.dims)
    if x.extent == y.extent and whole[len(whole) - len(shown) :] == shown:
        columns, index, how = other.extent, "j", "product"
    elif x.extent == y.extent and other.dims == (*y.dims[:-1], Extent(1)):
        columns, index, how = y.columns, "r", "product_per_row"
    else:
        raise unsupported(node, f"broadcasts {_note(x)} and {_note(other)}")
    more = {
        "operand": "const int32_t *restrict b, ",
        "factor": f"b[{index}]",
        "meaning": f"b[{index}]",
        "vector_factor": "vector_load(b + j)" if index == "j" else "vector_all(b[r])",
    }
    head = [y.extent // columns, columns]
    swap = other if other.extent == x.extent else None
    pointwise(b, "product", how, x, y, head, [other, *limits], more, swap=swap)


def _significant(dims: tuple[Extent, ...]) -> tuple[Extent, ...]:
    kept = list(dims)
    while kept and kept[0] == Extent(1):
        kept.pop(0)
    return tuple(kept)
