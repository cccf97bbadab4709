"""Kernel rules for products with constant weights: Linear, LinearWide, and what they absorb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.c.builder import Builder, Vector
from intcc.backends.c.divide import Division, division
from intcc.backends.c.matmul import FORMS, Form, form_of, packed_weight, suffix_of, tile_of
from intcc.backends.c.program import Argument, InPlace, Kernel, View
from intcc.backends.c.shapes import Extent

__all__ = [
    "Epilogue",
    "Quotient",
    "linear",
    "linear_gelu",
    "linear_wide",
    "linear_wide_add",
    "quotient",
]

Array = npt.NDArray[Any]


_HIGH_WORD = Kernel("kernels/high_word", "high_word")


@dataclass(frozen=True)
class Quotient:
    """The division of t by constants in C.

    Attributes:
        code: for the kernel's name.
        declaration: parameters of the kernel.
        expression: t / divisor, int32.
        arguments: of the parameters.
        mul: the multipliers, None where a shift does.
        shift: what is shifted by, None where nothing is left to shift.
        high: the shift acts on the upper word of the product alone.
        needs: kernels that the expression calls.
    """

    code: str
    declaration: str
    expression: str
    arguments: list[Argument]
    mul: Vector | None
    shift: Vector | None
    high: bool = False
    needs: tuple[Kernel, ...] = ()


def quotient(b: Builder, d: Division, stem: str, index: str) -> Quotient:
    """Return the division of t, an int32 that is not negative.

    Args:
        b: the program under construction.
        d: how to divide.
        stem: of the names of arrays in flash.
        index: the channel in C.
    """
    if d.mul is None:
        assert isinstance(d.shift, int)
        shift = Vector("shift", "int", False)
        return Quotient("p", "int shift", "t >> shift", [d.shift], None, shift)
    mul, mul_argument = b.vector(d.mul, "mul", f"{stem}.inverse", np.uint32)
    # Where a product takes two registers, the lower one need not be shifted if it falls out.
    high = b.target.word == 32 and int(np.min(d.shift)) >= 32
    down = d.shift - 32 if high else d.shift
    if isinstance(down, int):
        shift = Vector("shift", "int", False)
        arguments: list[Argument] = [mul_argument, down]
    else:
        shift, shift_argument = b.vector(down, "shift", f"{stem}.shift", np.uint8)
        arguments = [mul_argument, shift_argument]
    if high:
        product = f"high_word((uint32_t)t, {mul.at(index)})"
    else:
        product = f"{'' if d.narrow else '(uint64_t)'}(uint32_t)t * {mul.at(index)}"
    code = mul.code + shift.code + ("n" if d.narrow else "h" if high else "")
    needs = (_HIGH_WORD,) if high else ()
    if high and not np.any(down):
        return Quotient(
            code + "0",
            mul.declaration,
            f"(int32_t){product}",
            [mul_argument],
            mul,
            None,
            True,
            needs,
        )
    return Quotient(
        code,
        f"{mul.declaration}, {shift.declaration}",
        f"(int32_t)({product} >> {shift.at(index)})",
        arguments,
        mul,
        shift,
        high,
        needs,
    )


def _product(b: Builder, node: ir.Node) -> tuple[View, int, int, Extent]:
    x = b.view(node.inputs[0])
    k, n = b.constant(node.inputs[1]).shape
    return x, k, n, x.rows


@dataclass(frozen=True)
class Epilogue:
    """What a kernel needs in order to make its result of its element t, clipped to bytes.

    Attributes:
        code: for the kernel's name.
        declarations: parameters, each followed by a comma.
        expression: the result of t.
        arguments: for the parameters.
        needs: kernels called.
        after: name of a kernel that applies it to the rows of a tile in their place, else empty;
            the constants of its columns and then the tile follow its rows and width.
        step: constants of a column.
    """

    code: str = ""
    declarations: str = ""
    expression: str = "(uint8_t)t"
    arguments: Sequence[Argument] = ()
    needs: tuple[Kernel, ...] = ()
    after: str = ""
    step: int = 0


def _linear(b: Builder, node: ir.Node, y: View, remark: str, end: Epilogue) -> None:
    x, k, n, rows = _product(b, node)
    weight, bias, divisor = (b.constant(v) for v in node.inputs[1:4])
    top = 255 * np.maximum(weight, 0).astype(np.int64).sum(0) + bias
    stem = str(node.outputs[0].name)
    d = division(np.broadcast_to(divisor, (n,)), top)
    by = quotient(b, d, stem, "n + j")
    words = int(np.min(d.shift)) >= 32
    form = form_of(b, node.inputs[0], weight)
    wide = "" if words or d.mul is None or d.narrow else "d"
    code = by.code + end.code + wide + suffix_of(b, form)
    tile = tile_of(b, k, rows, form)
    matmul, height = b.target.matmul, tile.rows
    ranges, span = b.ranged(n, matmul.tile)
    kernel = Kernel(
        "ops/linear",
        f"linear_{k}x{n}_{code}" + (f"_r{height}" if height != matmul.rows else ""),
        {
            **ranges,
            "k": k,
            "n": n,
            "stride": tile.stride,
            "whole": tile.whole,
            "rows": height,
            "tile": matmul.tile,
            "tile_kernel": tile.kernel.name,
            "divisor": by.declaration,
            "quotient": by.expression,
            # For machine forms, which divide several columns at a time.
            "mul": by.mul,
            "shift": by.shift,
            "narrow": d.narrow,
            "words": words,
            "high": by.high,
            "finish": end.expression,
            "after": end.after,
            "after_step": end.step,
            "extra": end.declarations,
            "remark": remark,
        },
        (tile.kernel, *by.needs, *end.needs),
        4 * height * matmul.tile + tile.kernel.stack,
    )
    uncentered = tile.center * weight.astype(np.int32).sum(0, dtype=np.int32)
    bias_view = b.flash_view(np.broadcast_to(bias, (n,)) + uncentered, f"{stem}.bias", hot=True)
    lo, hi = b.scalar(node.inputs[4]), b.scalar(node.inputs[5])
    weights = packed_weight(b, node.inputs[1], form)
    arguments = [*span, rows, x, weights, bias_view, *by.arguments, lo, hi,
                 *end.arguments, y]  # fmt: skip
    b.call(kernel, arguments, [y], note=f"[{rows}, {k}] x [{k}, {n}]", macs=rows * (k * n))


def linear(b: Builder, node: ir.Node) -> None:
    """Emit y = clip((x @ weight + bias) / divisor, lo, hi)."""
    y = b.result(node.outputs[0])
    _linear(b, node, y, "", Epilogue())


def linear_gelu(b: Builder, node: ir.Node, gelu: ir.Node) -> None:
    """Linear and the Gelu after it."""
    from intcc.backends.c.kernels_gelu import tile_epilogue

    _linear(b, node, b.result(gelu.outputs[0]), ", then GELU", tile_epilogue(b, gelu, "n + j"))


def _centering(b: Builder, x: ir.Value | None, w: Array, mul: Array, bias: Array) -> Form:
    """Return the target's form where (x - center) w mul and the bias that undoes it fit int32."""
    form = form_of(b, x, w)
    most = (
        form.center * np.abs(w.astype(np.int64)).sum(0) * np.abs(mul.reshape(-1).astype(np.int64))
    )
    fits = (most + np.abs(bias.reshape(-1).astype(np.int64)) < 2**31).all()
    return form if fits else FORMS["plain"]


def _wide(b: Builder, node: ir.Node, y: View, residual: View | None) -> None:
    x, k, n, rows = _product(b, node)
    stem = str(node.outputs[0].name)
    w, by, constant = (b.constant(v) for v in node.inputs[1:4])
    form = _centering(b, node.inputs[0], w, by, constant)
    mul, mul_argument = b.vector(by, "mul", f"{stem}.mul")
    uncentered = form.center * w.astype(np.int64).sum(0) * by.reshape(-1)
    bias, bias_argument = b.vector(
        (constant.reshape(-1) + uncentered).astype(np.int32) if form.center else constant,
        "bias",
        f"{stem}.bias",
    )
    tile = tile_of(b, k, rows, form)
    matmul, height = b.target.matmul, tile.rows
    weight = packed_weight(b, node.inputs[1], form)
    ranges, span = b.ranged(n, matmul.tile)

    def kernel(suffix: str, declaration: str, addend: str, assign: str) -> Kernel:
        code = mul.code + bias.code
        name = f"linear_wide_{k}x{n}_{code}{suffix}{suffix_of(b, form)}"
        parameters = {
            **ranges,
            "k": k,
            "n": n,
            "stride": tile.stride,
            "whole": tile.whole,
            "rows": height,
            "tile": matmul.tile,
            "tile_kernel": tile.kernel.name,
            "mul": mul,
            "bias": bias,
            "residual": declaration,
            "addend": addend,
            "assign": assign,
            "in_place": assign == "+=",
            "remark": " + residual[m][n]" if addend else "",
        }
        if height != matmul.rows:
            name += f"_r{height}"
        stack = 4 * height * matmul.tile + tile.kernel.stack
        return Kernel("ops/linear_wide", name, parameters, (tile.kernel,), stack)

    head: list[Argument] = [*span, rows, x, weight, mul_argument, bias_argument]
    note, macs = f"[{rows}, {k}] x [{k}, {n}]", rows * (k * n)
    if residual is None:
        b.call(kernel("", "", "", "="), [*head, y], [y], note=note, macs=macs)
        return
    separate = kernel("_add", "const int32_t *restrict residual, ", " + residual[at + j]", "=")
    onto = InPlace(residual, kernel("_onto", "", "", "+="), (*head, y))
    b.call(separate, [*head, residual, y], [y], note=note, macs=macs, in_place=[onto])


def linear_wide(b: Builder, node: ir.Node) -> None:
    """Emit y = (x @ weight) * mul + bias."""
    _wide(b, node, b.result(node.outputs[0]), None)


def linear_wide_add(b: Builder, node: ir.Node, add: ir.Node) -> None:
    """LinearWide and the Add after it."""
    other = add.inputs[1] if add.inputs[0] is node.outputs[0] else add.inputs[0]
    _wide(b, node, b.result(add.outputs[0]), b.view(other))
