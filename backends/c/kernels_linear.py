"""Kernel rules for products with constant weights: Linear, LinearWide, and what they absorb."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.c.builder import Builder, Vector
from intcc.backends.c.divide import Division, division
from intcc.backends.c.matmul import FORMS, Form, form_of, packed, suffix_of, tile_of
from intcc.backends.c.program import Argument, InPlace, Kernel, View
from intcc.backends.c.shapes import Extent

__all__ = [
    "Epilogue",
    "Layer",
    "Quotient",
    "centering",
    "linear",
    "linear_gelu",
    "linear_wide",
    "linear_wide_add",
    "narrow_layer",
    "quotient",
    "wide_layer",
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


@dataclass(frozen=True)
class Layer:
    """A product with constant weights and what follows it, before it is called.

    Attributes:
        kernel: the function name(span, rows, x, ..., y).
        span: arguments in front of the rows.
        declarations: of the parameters between x and y.
        arguments: for them.
        shape: K and N.
    """

    kernel: Kernel
    span: list[Argument]
    declarations: list[str]
    arguments: list[Argument]
    shape: tuple[int, int]

    @property
    def names(self) -> list[str]:
        """Names of the parameters between x and y."""
        return [re.findall(r"\w+", text)[-1] for text in self.declarations]

    def call(self, b: Builder, rows: Extent, x: View, y: View) -> None:
        """Call it on rows."""
        k, n = self.shape
        note = f"[{rows}, {k}] x [{k}, {n}]"
        b.call(self.kernel, [*self.span, rows, x, *self.arguments, y], [y], note=note,
               macs=rows * (k * n))  # fmt: skip


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


def narrow_layer(
    b: Builder,
    weight: Array,
    constants: tuple[Array, Array, int, int],
    rows: Extent,
    form: Form,
    stem: str,
    name: str,
    remark: str = "",
    end: Epilogue | None = None,
) -> Layer:
    """Return the layer that makes bytes.

    Args:
        b: the program under construction.
        weight: [K, N].
        constants: bias and divisor per channel, and the limits.
        rows: rows of a call.
        form: of the products.
        stem: of the names of arrays in flash.
        name: of the weights.
        remark: what follows, for the comment.
        end: what follows.
    """
    (k, n), (bias, divisor, lo, hi), end = weight.shape, constants, end or Epilogue()
    top = 255 * np.maximum(weight, 0).astype(np.int64).sum(0) + bias
    d = division(np.broadcast_to(divisor, (n,)), top)
    by = quotient(b, d, stem, "n + j")
    words = int(np.min(d.shift)) >= 32
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
            "most": tile.most,
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
        4 * tile.most * matmul.tile + tile.kernel.stack,
    )
    uncentered = tile.center * weight.astype(np.int32).sum(0, dtype=np.int32)
    bias_view = b.flash_view(np.broadcast_to(bias, (n,)) + uncentered, f"{stem}.bias", hot=True)
    weights = packed(b, weight, form, name)
    declarations = [
        "const int8_t *restrict w",
        "const int32_t *restrict bias",
        *by.declaration.split(", "),
        "int32_t lo",
        "int32_t hi",
    ]
    arguments = [weights, bias_view, *by.arguments, lo, hi, *end.arguments]
    return Layer(kernel, span, declarations, arguments, (k, n))


def _linear(b: Builder, node: ir.Node, y: View, remark: str, end: Epilogue) -> None:
    x = b.view(node.inputs[0])
    weight, bias, divisor = (b.constant(v) for v in node.inputs[1:4])
    constants = (bias, divisor, b.scalar(node.inputs[4]), b.scalar(node.inputs[5]))
    form, stem = form_of(b, node.inputs[0], weight), str(node.outputs[0].name)
    name = str(node.inputs[1].name) if node.inputs[1] is not None else ""
    layer = narrow_layer(b, weight, constants, x.rows, form, stem, name, remark, end)
    layer.call(b, x.rows, x, y)


def linear(b: Builder, node: ir.Node) -> None:
    """Emit y = clip((x @ weight + bias) / divisor, lo, hi)."""
    y = b.result(node.outputs[0])
    _linear(b, node, y, "", Epilogue())


def linear_gelu(b: Builder, node: ir.Node, gelu: ir.Node) -> None:
    """Linear and the Gelu after it."""
    from intcc.backends.c.kernels_gelu import tile_epilogue

    _linear(b, node, b.result(gelu.outputs[0]), ", then GELU", tile_epilogue(b, gelu, "n + j"))


def centering(form: Form, w: Array, mul: Array, bias: Array) -> Form:
    """Return the form where (x - center) w mul and the bias that undoes it fit int32."""
    most = (
        form.center * np.abs(w.astype(np.int64)).sum(0) * np.abs(mul.reshape(-1).astype(np.int64))
    )
    fits = (most + np.abs(bias.reshape(-1).astype(np.int64)) < 2**31).all()
    return form if fits else FORMS["plain"]


@dataclass(frozen=True)
class _Sum:
    """How a wide layer writes its result: apart, or onto a residual stream."""

    suffix: str = ""
    declaration: str = ""
    addend: str = ""
    assign: str = "="


def wide_layer(
    b: Builder,
    weight: Array,
    constants: tuple[Array, Array],
    rows: Extent,
    form: Form,
    stem: str,
    name: str,
    sums: Sequence[_Sum] = (_Sum(),),
) -> list[Layer]:
    """Return the layer onto the int32 grid, once for each way to write its result.

    Args:
        b: the program under construction.
        weight: [K, N].
        constants: multiplier and bias, per channel or of all.
        rows: rows of a call.
        form: of the products.
        stem: of the names of arrays in flash.
        name: of the weights.
        sums: ways to write the result.
    """
    (k, n), (by, constant) = weight.shape, constants
    mul, mul_argument = b.vector(by, "mul", f"{stem}.mul")
    uncentered = form.center * weight.astype(np.int64).sum(0) * by.reshape(-1)
    bias, bias_argument = b.vector(
        (constant.reshape(-1) + uncentered).astype(np.int32) if form.center else constant,
        "bias",
        f"{stem}.bias",
    )
    tile = tile_of(b, k, rows, form)
    matmul, height = b.target.matmul, tile.rows
    weights = packed(b, weight, form, name)
    ranges, span = b.ranged(n, matmul.tile)

    def kernel(how: _Sum) -> Kernel:
        code = mul.code + bias.code
        name = f"linear_wide_{k}x{n}_{code}{how.suffix}{suffix_of(b, form)}"
        parameters = {
            **ranges,
            "k": k,
            "n": n,
            "stride": tile.stride,
            "whole": tile.whole,
            "rows": height,
            "most": tile.most,
            "tile": matmul.tile,
            "tile_kernel": tile.kernel.name,
            "mul": mul,
            "bias": bias,
            "residual": how.declaration,
            "addend": how.addend,
            "assign": how.assign,
            "in_place": how.assign == "+=",
            "remark": " + residual[m][n]" if how.addend else "",
        }
        if height != matmul.rows:
            name += f"_r{height}"
        stack = 4 * tile.most * matmul.tile + tile.kernel.stack
        return Kernel("ops/linear_wide", name, parameters, (tile.kernel,), stack)

    declarations = ["const int8_t *restrict w", mul.declaration, bias.declaration]
    arguments: list[Argument] = [weights, mul_argument, bias_argument]
    return [Layer(kernel(how), span, declarations, arguments, (k, n)) for how in sums]


def _wide(b: Builder, node: ir.Node, y: View, residual: View | None) -> None:
    x, weight = b.view(node.inputs[0]), node.inputs[1]
    assert weight is not None
    w, by, constant = (b.constant(v) for v in node.inputs[1:4])
    form = centering(form_of(b, node.inputs[0], w), w, by, constant)
    stem, rows = str(node.outputs[0].name), x.rows
    added = _Sum("_add", "const int32_t *restrict residual, ", " + residual[at + j]")
    sums = [_Sum()] if residual is None else [added, _Sum("_onto", assign="+=")]
    layers = wide_layer(b, w, (by, constant), rows, form, stem, str(weight.name), sums)
    if residual is None:
        layers[0].call(b, rows, x, y)
        return
    separate, onto = layers
    (k, n), head = separate.shape, [*separate.span, rows, x, *separate.arguments]
    in_place = InPlace(residual, onto.kernel, (*head, y))
    b.call(separate.kernel, [*head, residual, y], [y], note=f"[{rows}, {k}] x [{k}, {n}]",
           macs=rows * (k * n), in_place=[in_place])  # fmt: skip


def linear_wide(b: Builder, node: ir.Node) -> None:
    """Emit y = (x @ weight) * mul + bias."""
    _wide(b, node, b.result(node.outputs[0]), None)


def linear_wide_add(b: Builder, node: ir.Node, add: ir.Node) -> None:
    """LinearWide and the Add after it."""
    other = add.inputs[1] if add.inputs[0] is node.outputs[0] else add.inputs[0]
    _wide(b, node, b.result(add.outputs[0]), b.view(other))
