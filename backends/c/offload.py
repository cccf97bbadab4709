"""Offload: products become calls of an interface that an accelerator implements.

    Linear                  intcc_accel_matmul_u8s8_u8      the division as a rescale
    LinearWide              intcc_accel_matmul_u8s8_s32
    LinearDynamic           intcc_accel_matmul_u8s8_s32, then the rescale of its rows
    BatchMatMul             intcc_accel_matmul_u8u8_s32

The interface is the same for every model and specified in templates/c/accel/accel.h.j2. Attention
multiplies, exponentiates and multiplies in one loop over blocks of rows, which no call replaces.

A rescale must give the bits of the division that it stands for. Where no multiplier of 31 bits
does, or the shifted bias leaves int32, the product stays with the processor, and a note tells so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc._version import __version__
from intcc.backends.c import kernels_linear
from intcc.backends.c.builder import Builder
from intcc.backends.c.kernels_dynamic import batch
from intcc.backends.c.program import Argument, Kernel, Program, View
from intcc.backends.c.render import render
from intcc.dyadic import MAX_MUL_BITS, Dyadic
from intcc.ops.dynamic_quantize import LARGEST_MANTISSA, ZERO

__all__ = ["OFFLOADED", "accelerator_files", "offloaded"]

Array = npt.NDArray[Any]
Rule = Callable[[Builder, ir.Node], None]

#: Rows, inner and columns of the conformance test's own products: one, odd, and past any block.
_SHAPES = ((1, 1, 1), (1, 3, 2), (5, 7, 9), (4, 16, 16), (3, 64, 33), (6, 130, 17))
#: What is left of a model's shapes in that test, whose arrays must fit a small machine.
_ROWS, _COLUMNS = 3, 17
_PREFIX = "intcc_accel_"


def _external(name: str) -> Kernel:
    """Return a function of the interface, which has no text here."""
    return Kernel("", f"{_PREFIX}{name}")


def rescale_of(divisor: Array, bias: Array, weight: Array) -> tuple[Array, Array, Array] | None:
    """Return (bias, mul, shift) with rsh((acc + bias) * mul, shift) for (acc + bias0) / divisor.

    With c = (divisor - 1) / 2 the quotient is t / divisor to nearest for t = acc + bias0 - c, and
    never closer to a tie than 1 / (2 divisor). So it is rsh(t * mul, shift) where

        2 |t| |mul * divisor - 2**shift| < 2**shift

    for every t that does not saturate, that is for |t| <= 256 divisor.

    Args:
        divisor: [N], from 1 on; odd, or a power of two.
        bias: [N], of Linear.
        weight: [K, N], which bounds the sums of bytes.

    Returns:
        None where some channel has no such numbers, or its bias leaves int32.
    """
    n = weight.shape[1]
    divisors, shifted = np.broadcast_to(divisor, (n,)), np.empty(n, np.int64)
    mul, shift = np.empty(n, np.int32), np.empty(n, np.uint8)
    wide = weight.astype(np.int64)
    low, high = 255 * np.minimum(wide, 0).sum(0), 255 * np.maximum(wide, 0).sum(0)
    for channel, d in enumerate(map(int, divisors)):
        exact = d & (d - 1) == 0
        # One has no half, but a shift has at least 2.
        half = d // 2 if exact else (d - 1) // 2
        scale = Dyadic.from_real(1 / d, MAX_MUL_BITS)
        shifted[channel] = int(np.broadcast_to(bias, (n,))[channel]) - half
        ends = [int(e + shifted[channel]) for e in (low[channel], high[channel])]
        reach = min(max(map(abs, ends)), 256 * d)
        error = abs(scale.mul * d - (1 << scale.shift))
        fits = min(*ends, shifted[channel]) >= -(2**31) and max(*ends, shifted[channel]) < 2**31
        if not fits or (d % 2 == 0 and not exact) or 2 * reach * error >= 1 << scale.shift:
            return None
        mul[channel], shift[channel] = scale.mul, scale.shift
    return shifted.astype(np.int32), mul, shift


def _product(b: Builder, node: ir.Node, at: int) -> tuple[View, Array, list[Any], dict[str, Any]]:
    """Return x, the weights, the arguments up to them, and what a call says of its size."""
    x, weight = b.view(node.inputs[0]), b.constant(node.inputs[at])
    inner, columns = weight.shape
    packed = b.flash_view(np.ascontiguousarray(weight.T), str(node.inputs[at].name))  # type: ignore[union-attr]
    size = {
        "note": f"[{x.rows}, {inner}] x [{inner}, {columns}]",
        "macs": x.rows * (inner * columns),
    }
    return x, weight, [x.rows, inner, columns, x, packed], size


def _numbers(b: Builder, node: ir.Node, what: str, array: Array, n: int) -> View:
    """Return numbers per channel in flash, one for each."""
    numbers = np.broadcast_to(array.reshape(-1), (n,))
    return b.flash_view(np.ascontiguousarray(numbers), f"{node.outputs[0].name}.{what}", hot=True)


def linear(b: Builder, node: ir.Node) -> None:
    """Emit y = clip((x @ weight + bias) / divisor, lo, hi) as a product with a rescale."""
    weight = b.constant(node.inputs[1])
    found = rescale_of(b.constant(node.inputs[3]), b.constant(node.inputs[2]), weight)
    if found is None:
        b.program.kept.append(str(node.name))
        kernels_linear.linear(b, node)
        return
    bias, mul, shift = found
    _, weight, head, size = _product(b, node, 1)
    n = weight.shape[1]
    numbers = [
        _numbers(b, node, what, array, n)
        for what, array in (("bias", bias), ("mul", mul), ("shift", shift))
    ]
    y = b.result(node.outputs[0])
    limits = [b.scalar(v) for v in node.inputs[4:6]]
    b.call(_external("matmul_u8s8_u8"), [*head, *numbers, *limits, y], [y], **size)


def linear_wide(b: Builder, node: ir.Node) -> None:
    """Emit y = (x @ weight) * mul + bias."""
    _, weight, head, size = _product(b, node, 1)
    n = weight.shape[1]
    mul, bias = (
        _numbers(b, node, what, b.constant(v).astype(np.int32), n)
        for what, v in zip(("mul", "bias"), node.inputs[2:4], strict=True)
    )
    y = b.result(node.outputs[0])
    b.call(_external("matmul_u8s8_s32"), [*head, mul, bias, y], [y], **size)


def linear_dynamic(b: Builder, node: ir.Node) -> None:
    """Emit acc = (q - 128) @ weight, then the rescale of its rows in its place."""
    m, k = b.view(node.inputs[1]), b.view(node.inputs[2])
    x, weight, head, size = _product(b, node, 3)
    n = weight.shape[1]
    one = _numbers(b, node, "one", np.ones(1, np.int32), n)
    center = -ZERO * weight.sum(0, dtype=np.int32)
    y = b.result(node.outputs[0])
    centers = _numbers(b, node, "center", center, n)
    b.call(_external("matmul_u8s8_s32"), [*head, one, centers, y], [y], **size)
    stem = str(node.outputs[0].name)
    factor, offsets = b.constant(node.inputs[4]), b.constant(node.inputs[6])
    mul, mul_argument = b.vector(factor, "mul", f"{stem}.mul")
    bias, bias_argument = b.vector(offsets, "bias", f"{stem}.bias")
    short = LARGEST_MANTISSA * int(factor.max()) < 2**31
    kernel = Kernel(
        "ops/rescale_rows",
        f"rescale_rows_{mul.code}{bias.code}{'n' if short else ''}",
        {"mul": mul, "bias": bias, "short": short},
    )
    shift = b.scalar(node.inputs[5])
    b.call(kernel, [x.rows, n, m, k, mul_argument, shift, bias_argument, y], [y],
           note=f"[{x.rows}, {n}]")  # fmt: skip


def batch_matmul(b: Builder, node: ir.Node) -> None:
    """Emit y = (a - zero) @ (b - 128), matrix by matrix."""
    size = batch(b, node)
    left, right, y = b.view(node.inputs[0]), b.view(node.inputs[2]), b.result(node.outputs[0])
    zero = b.scalar(node.inputs[1])
    arguments: list[Argument] = [
        size.count,
        size.rows,
        size.inner,
        size.columns,
        left,
        zero,
        right,
        ZERO,
        y,
    ]
    b.call(_external("matmul_u8u8_s32"), arguments, [y], note=size.note, macs=size.macs)


#: What `--offload` may name, and the operators that it takes from the processor.
OFFLOADED: Mapping[str, Mapping[str, Rule]] = {
    "matmul": {
        "BatchMatMul": batch_matmul,
        "Linear": linear,
        "LinearDynamic": linear_dynamic,
        "LinearDynamicFull": linear_dynamic,
        "LinearWide": linear_wide,
    },
}


def offloaded(kinds: Sequence[str]) -> dict[str, Rule]:
    """Return the rule of every operator that is offloaded."""
    return {operator: rule for kind in kinds for operator, rule in OFFLOADED[kind].items()}


@dataclass(frozen=True)
class _Sizes:
    """Shapes of the conformance test, and the largest of each."""

    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def largest(self, axis: int) -> int:
        return max(shape[axis] for shape in self.shapes)


def accelerator_files(program: Program) -> dict[str, str]:
    """Return the interface, its reference, weak definitions and the conformance test, by path."""
    found = dict.fromkeys(_SHAPES)
    for call in program.calls:
        if call.kernel.name.startswith(f"{_PREFIX}matmul_u8s8"):
            inner, columns = (int(str(a)) for a in call.arguments[1:3])
            found[_ROWS, inner, min(columns, _COLUMNS)] = None
    sizes = _Sizes(list(found))
    context = {
        "version": __version__,
        "name": program.name,
        "shapes": sizes.shapes,
        "rows": sizes.largest(0),
        "inner": sizes.largest(1),
        "columns": sizes.largest(2),
    }
    names = {
        "intcc_accel.h": "accel.h",
        "intcc_accel_reference.h": "reference.h",
        f"{program.name}_accel.c": "accel.c",
        "examples/accel_test.c": "test.c",
    }
    return {path: render(f"accel/{template}", context) for path, template in names.items()}
