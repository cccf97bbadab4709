"""Offload: products become calls of an interface that an accelerator implements.

    Linear                  intcc_accel_matmul_u8s8_u8      the division as a rescale
    LinearWide              intcc_accel_matmul_u8s8_s32
    LinearDynamic           intcc_accel_matmul_u8s8_s32, then the rescale of its rows
    BatchMatMul             intcc_accel_matmul_u8u8_s32
    Conv                    intcc_accel_conv_u8s8_u8        likewise
    ConvWide                intcc_accel_conv_u8s8_s32

The interface is the same for every model and specified in templates/c/accel/accel.h.j2. Attention
multiplies, exponentiates and multiplies in one loop over blocks of rows, which no call replaces.

A rescale must give the bits of the division that it stands for. Where no multiplier of 31 bits
does, or the shifted bias leaves int32, the product stays with the processor, and a note tells so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.c import kernels_conv, kernels_linear
from intcc.backends.c.builder import Builder
from intcc.backends.c.kernels_dynamic import batch
from intcc.backends.c.program import Argument, Kernel, View
from intcc.backends.c.shapes import Extent
from intcc.dyadic import saturated_quotient_magic
from intcc.interval import INT32, UINT8, Interval
from intcc.ops.dynamic_quantize import LARGEST_MANTISSA, ZERO
from intcc.ops.linear import product_interval
from intcc.ops.windows import Windows

__all__ = ["OFFLOADED", "PREFIX", "offloaded", "rescale_of", "window_fields"]

Array = npt.NDArray[Any]
Rule = Callable[[Builder, ir.Node], None]

#: How every function of the interface begins.
PREFIX = "intcc_accel_"


def _external(name: str) -> Kernel:
    """Return a function of the interface, which has no text here."""
    return Kernel("", f"{PREFIX}{name}")


def rescale_of(divisor: Array, bias: Array, acc: Interval) -> tuple[Array, Array, Array] | None:
    """Return (bias, mul, shift) with rsh((acc + bias) * mul, shift) for (acc + bias0) / divisor.

    Both are equal when they are held in [0, 255]; see `intcc.dyadic.saturated_quotient_magic`.

    Args:
        divisor: [N] or one, from 1 on.
        bias: [N] or one, of Linear or Conv.
        acc: of the sums, [N].

    Returns:
        None where some channel has no such numbers, or its bias leaves int32.
    """
    n = len(acc.lo)
    divisors, offsets = (np.broadcast_to(a.reshape(-1), (n,)) for a in (divisor, bias))
    shifted, mul, shift = np.empty(n, np.int64), np.empty(n, np.int32), np.empty(n, np.uint8)
    for channel, (d, offset) in enumerate(zip(map(int, divisors), map(int, offsets), strict=True)):
        least, most = (int(end[channel]) + offset for end in (acc.lo, acc.hi))
        moved = offset - d // 2
        ends = moved, least - d // 2, most - d // 2
        factor = saturated_quotient_magic(d, least, most, 0, int(UINT8.max))
        if factor is None or min(ends) < INT32.min or max(ends) > INT32.max:
            return None
        shifted[channel], mul[channel], shift[channel] = moved, factor.mul, factor.shift
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
    acc = product_interval(UINT8, b.constant(node.inputs[1]))
    found = rescale_of(b.constant(node.inputs[3]), b.constant(node.inputs[2]), acc)
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


def window_fields(sizes: Iterable[int], windows: Windows) -> dict[str, int]:
    """Return the fields of the interface's structure, in its order.

    Args:
        sizes: height, width, channels, columns, group and zero point.
        windows: the kernel, and how it moves over the image.
    """
    height, width, channels, columns, group, zero = sizes
    (kernel_height, kernel_width), (top, left) = windows.kernel, windows.pads[:2]
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "high": windows.extent(0, height),
        "wide": windows.extent(1, width),
        "columns": columns,
        "kernel_height": kernel_height,
        "kernel_width": kernel_width,
        "stride_height": windows.strides[0],
        "stride_width": windows.strides[1],
        "pad_top": top,
        "pad_left": left,
        "dilation_height": windows.dilations[0],
        "dilation_width": windows.dilations[1],
        "group": group,
        "zero": zero,
    }


def _window(b: Builder, node: ir.Node) -> tuple[dict[str, Any], str, View, Extent]:
    """Return the geometry of a convolution, its code, its weights and its products."""
    x, zero, weight = b.view(node.inputs[0]), b.scalar(node.inputs[1]), b.constant(node.inputs[2])
    attributes = {k: node.attributes[k].as_ints() for k in ("strides", "pads", "dilations")}
    windows = Windows.of(weight.shape[1:3], **attributes)
    group = node.attributes["group"].as_int()
    height, width, channels = (d.coefficient for d in x.dims[1:])
    geometry = window_fields((height, width, channels, len(weight), group, zero), windows)
    packed = b.flash_view(weight, str(node.inputs[2].name))  # type: ignore[union-attr]
    macs = Extent(geometry["high"] * geometry["wide"] * int(weight.size))
    code = "{height}x{width}x{channels}_{columns}_k{kernel_height}x{kernel_width}".format(
        **geometry
    )
    plain = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    for name, values in attributes.items():
        if tuple(values) != plain[name]:
            code += f"_{name[0]}{'_'.join(map(str, values))}"
    code += (f"_g{group}" if group > 1 else "") + (f"_z{zero}" if zero else "")
    return geometry, code, packed, macs


def _conv(b: Builder, node: ir.Node, kind: str, numbers: Sequence[Argument]) -> None:
    geometry, code, packed, macs = _window(b, node)
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    kernel = Kernel(
        f"accel/conv_{kind}", f"accel_conv_{kind}_{code}", {"window": geometry, "prefix": PREFIX}
    )
    size = f"{geometry['height']} x {geometry['width']} x {geometry['channels']}"
    b.call(kernel, [x, packed, *numbers, y], [y], note=size, macs=macs)


def conv(b: Builder, node: ir.Node) -> None:
    """Emit y = clip((acc + bias) / divisor, lo, hi) as a convolution with a rescale."""
    weight, zero = b.constant(node.inputs[2]), b.scalar(node.inputs[1])
    x = Interval.of(-zero, UINT8.max - zero).hull(Interval.of(0, 0))
    acc = product_interval(x, weight.reshape(len(weight), -1).T)
    found = rescale_of(b.constant(node.inputs[4]), b.constant(node.inputs[3]), acc)
    if found is None:
        b.program.kept.append(str(node.name))
        kernels_conv.conv(b, node)
        return
    numbers = [
        _numbers(b, node, what, array, len(weight))
        for what, array in zip(("bias", "mul", "shift"), found, strict=True)
    ]
    _conv(b, node, "u8", [*numbers, *(b.scalar(v) for v in node.inputs[5:7])])


def conv_wide(b: Builder, node: ir.Node) -> None:
    """Emit y = acc * mul + bias."""
    n = len(b.constant(node.inputs[2]))
    numbers = [
        _numbers(b, node, what, b.constant(v).astype(np.int32), n)
        for what, v in zip(("mul", "bias"), node.inputs[3:5], strict=True)
    ]
    _conv(b, node, "s32", numbers)


#: What `--offload` may name, and the operators that it takes from the processor.
OFFLOADED: Mapping[str, Mapping[str, Rule]] = {
    "matmul": {
        "BatchMatMul": batch_matmul,
        "Linear": linear,
        "LinearDynamic": linear_dynamic,
        "LinearDynamicFull": linear_dynamic,
        "LinearWide": linear_wide,
    },
    "conv": {"Conv": conv, "ConvWide": conv_wide},
}


def offloaded(kinds: Sequence[str]) -> dict[str, Rule]:
    """Return the rule of every operator that is offloaded."""
    return {operator: rule for kind in kinds for operator, rule in OFFLOADED[kind].items()}
