"""Kernel rules for windows over images: Conv, ConvWide, MaxPool.

A convolution of one group gathers the pixels under some windows as rows, and is the layer of
their products: the kernels of Linear and LinearWide, in the form of the target. Groups and
depthwise convolutions read the image where it lies, since what they multiply is too short for a
product of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.c.builder import Builder
from intcc.backends.c.divide import division
from intcc.backends.c.kernels_linear import Layer, centering, narrow_layer, quotient, wide_layer
from intcc.backends.c.matmul import form_of
from intcc.backends.c.program import Argument, Kernel, View
from intcc.backends.c.shapes import Extent
from intcc.ops.windows import Windows

__all__ = ["conv", "conv_wide", "max_pool"]

Array = npt.NDArray[Any]
#: Bytes of gathered rows: what stays in a cache of a host, and what a microcontroller can spare.
ROWS_HOST, ROWS_SMALL = 2**17, 2**12
#: Parts of an image's windows that threads can share, where there are as many blocks.
PARTS = 8
#: Channels of a depthwise convolution that are summed at a time.
BLOCK = 32


@dataclass(frozen=True)
class _Image:
    """The geometry of an operator in C.

    Attributes:
        windows: which pixels.
        height, width, channels: of the image that is read.
        high, wide: windows along both axes.
        zero: the byte outside of the image.
    """

    windows: Windows
    height: int
    width: int
    channels: int
    high: int
    wide: int
    zero: int

    @classmethod
    def of(cls, x: View, kernel: Sequence[int], node: ir.Node, zero: int = 0) -> _Image:
        """Read attributes and extents."""
        names = ("strides", "pads", "dilations")
        windows = Windows.of(kernel, *(node.attributes[name].as_ints() for name in names))
        height, width, channels = (d.coefficient for d in x.dims[1:])
        high, wide = windows.extent(0, height), windows.extent(1, width)
        return cls(windows, height, width, channels, high, wide, zero)

    @property
    def pixels(self) -> int:
        """Number of windows."""
        return self.high * self.wide

    @property
    def code(self) -> str:
        """What kernels of this geometry have in their names."""
        w = self.windows
        parts = [f"{self.height}x{self.width}", "k{}x{}".format(*w.kernel)]
        parts += ["s{}x{}".format(*w.strides)] * (w.strides != (1, 1))
        parts += ["d{}x{}".format(*w.dilations)] * (w.dilations != (1, 1))
        parts += ["p" + "_".join(map(str, w.pads))] * w.padded
        return "".join(parts)

    @property
    def parameters(self) -> dict[str, Any]:
        """Expressions of the window p, of its tap (r, s), and of where that lies in x."""
        w = self.windows
        steps = [
            _times("p / {0}" if axis == 0 else "p % {0}", s) for axis, s in enumerate(w.strides)
        ]
        taps = [
            f"{base} + {_times(index, d)}"
            for base, index, d in zip(("top", "left"), "rs", w.dilations, strict=True)
        ]
        ends: list[str] = []
        place: list[str] = []
        for axis, (name, size) in enumerate((("row", self.height), ("column", self.width))):
            before = w.pads[axis]
            count = (self.high, self.wide)[axis]
            ends += _ends(("top", "left")[axis], axis, w, size, count)
            place.append(f"{name} - {before}" if before else name)
        rows = f"({place[0]})" if w.pads[0] else place[0]
        return {
            "top": steps[0].format(self.wide),
            "left": steps[1].format(self.wide),
            "row": taps[0],
            "column": taps[1],
            **dict(
                zip(("first_row", "last_row", "first_column", "last_column"), ends, strict=True)
            ),
            "pixel": f"({rows} * {self.width} + {place[1]})",
            "channels": self.channels,
            "kernel": w.kernel,
            "zero": self.zero,
            "padded": w.padded,
            "near": w.dilations[1] == 1,
        }


def _ends(start: str, axis: int, w: Windows, size: int, count: int) -> tuple[str, str]:
    """Return the first tap of a window inside the image and the first one behind it."""
    before, step, taps = w.pads[axis], w.dilations[axis], w.kernel[axis]
    reach = step * (taps - 1)
    first, last = "0", str(taps)
    if before:
        first = f"{start} < {before} ? {_upwards(f'{before} - {start}', step)} : 0"
    if (count - 1) * w.strides[axis] + reach >= before + size:
        rest = _upwards(f"{before + size} - {start}", step)
        last = f"{start} + {reach} < {before + size} ? {taps} : {rest}"
    return first, last


def _upwards(text: str, step: int) -> str:
    return text if step == 1 else f"({text} + {step - 1}) / {step}"


def _times(text: str, factor: int) -> str:
    return text if factor == 1 else f"{text} * {factor}"


def _gathered(
    b: Builder, node: ir.Node, image: _Image, layer: Layer, chunk: int, result: str, remark: str
) -> None:
    """Call a layer on the rows under the windows of an image."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    k, n = layer.shape
    ranges, span = b.ranged(image.pixels, chunk)
    windows = Kernel(
        "kernels/windows",
        f"windows_{image.code}_c{image.channels}z{image.zero}",
        image.parameters,
    )
    inner = "".join(f"{a}, " for a in layer.span)
    kernel = Kernel(
        f"ops/{'conv' if result == 'uint8_t' else 'conv_wide'}",
        f"{layer.kernel.name}_on_{image.code}z{image.zero}",
        {
            **ranges,
            "windows": windows.name,
            "layer": layer.kernel.name,
            "layer_span": inner,
            "chunk": chunk,
            "n": n,
            "parameters": ", ".join(layer.declarations),
            "names": ", ".join(layer.names),
            "result": result,
            "remark": remark,
        },
        (windows, layer.kernel),
        layer.kernel.stack,
    )
    stem = str(node.outputs[0].name)
    rows = b.storage(f"{stem}.rows", np.uint8, Extent(chunk * k), scratch=True)
    b.call(
        kernel,
        [*span, x, *layer.arguments, View(rows, (rows.extent,)), y],
        [y],
        note=_note(image, n),
        macs=Extent(image.pixels * k * n),
        scratch=[rows],
    )


def _note(image: _Image, n: int) -> str:
    kernel = "{} x {}".format(*image.windows.kernel)
    given = f"[{image.height}, {image.width}, {image.channels}]"
    return f"{given}, {kernel} -> [{image.high}, {image.wide}, {n}]"


def _chunk(b: Builder, image: _Image, k: int) -> int:
    """Return how many windows are gathered at a time: whole blocks of the target's products.

    Threads share the windows, so that there must be some parts of them.
    """
    block = b.target.matmul.rows
    room = ROWS_SMALL if b.target.word == 32 else ROWS_HOST
    blocks = max(room // k // block, 1)
    if b.target.threads:
        blocks = min(blocks, -(-image.pixels // (PARTS * block)))
    return min(blocks * block, image.pixels)


def conv(b: Builder, node: ir.Node) -> None:
    """Emit y = clip((windows of (x - zero) @ weight + bias) / divisor, lo, hi)."""
    weight = b.constant(node.inputs[2])
    bias, divisor = (b.constant(v) for v in node.inputs[3:5])
    lo, hi = b.scalar(node.inputs[5]), b.scalar(node.inputs[6])
    image = _Image.of(b.view(node.inputs[0]), weight.shape[1:3], node, b.scalar(node.inputs[1]))
    stem, name = str(node.outputs[0].name), str(node.inputs[2].name) if node.inputs[2] else ""
    n = len(weight)
    if node.attributes.get_int("group", 1) > 1:
        top = 255 * np.abs(weight.astype(np.int64)).reshape(n, -1).sum(1) + bias
        depthwise = weight.shape[-1] == 1 and n == image.channels
        by = quotient(
            b, division(np.broadcast_to(divisor, (n,)), top), stem, "c + j" if depthwise else "j"
        )
        offsets = b.flash_view(np.broadcast_to(bias, (n,)), f"{stem}.bias", hot=True)
        declarations = ["const int32_t *restrict bias", by.declaration, "int32_t lo", "int32_t hi"]
        arguments = [offsets, *by.arguments, lo, hi]
        more = {"quotient": by.expression}
        _direct(b, node, image, weight, "", by.code, declarations, arguments, more, by.needs)
        return
    matrix = weight.reshape(n, -1).T
    shifted = bias - image.zero * matrix.sum(0, dtype=np.int64)
    chunk = _chunk(b, image, len(matrix))
    constants = (shifted.astype(np.int32), divisor, lo, hi)
    form = form_of(b, None, matrix)
    layer = narrow_layer(b, matrix, constants, Extent(chunk), form, stem, name)
    _gathered(b, node, image, layer, chunk, "uint8_t", "the Linear")


def conv_wide(b: Builder, node: ir.Node) -> None:
    """Emit y = (windows of (x - zero) @ weight) * mul + bias."""
    weight, by, constant = (b.constant(v) for v in node.inputs[2:5])
    image = _Image.of(b.view(node.inputs[0]), weight.shape[1:3], node, b.scalar(node.inputs[1]))
    stem, name = str(node.outputs[0].name), str(node.inputs[2].name) if node.inputs[2] else ""
    n = len(weight)
    if node.attributes.get_int("group", 1) > 1:
        mul, mul_argument = b.vector(by, "mul", f"{stem}.mul")
        bias, bias_argument = b.vector(constant, "bias", f"{stem}.bias")
        declarations = [mul.declaration, bias.declaration]
        arguments: list[Argument] = [mul_argument, bias_argument]
        code, more = mul.code + bias.code, {"mul": mul, "bias": bias}
        _direct(b, node, image, weight, "_wide", code, declarations, arguments, more)
        return
    matrix = weight.reshape(n, -1).T
    shifted = constant - image.zero * matrix.sum(0, dtype=np.int64) * by
    chunk = _chunk(b, image, len(matrix))
    form = centering(form_of(b, None, matrix), matrix, by, shifted)
    constants = (by, np.asarray(shifted, np.int32))
    layer = wide_layer(b, matrix, constants, Extent(chunk), form, stem, name)[0]
    _gathered(b, node, image, layer, chunk, "int32_t", "the LinearWide")


def _direct(
    b: Builder,
    node: ir.Node,
    image: _Image,
    weight: Array,
    suffix: str,
    code: str,
    declarations: list[str],
    arguments: list[Argument],
    more: dict[str, Any],
    needs: tuple[Kernel, ...] = (),
) -> None:
    """Call a kernel that reads the image where it lies."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    n, each = len(weight), weight.shape[-1]
    depthwise = each == 1 and n == image.channels
    kind = "depthwise" if depthwise else "groups"
    laid = weight.reshape(n, -1).T if depthwise else weight.reshape(n, -1)
    name = str(node.inputs[2].name) if node.inputs[2] is not None else kind
    ranges, span = b.ranged(image.pixels, 1)
    parameters = {
        **image.parameters,
        **ranges,
        **more,
        "n": n,
        "each": each,
        "filters": n * each // image.channels,
        "block": BLOCK,
        "parameters": ", ".join(declarations),
        "result": "int32_t" if suffix else "uint8_t",
    }
    kernel = Kernel(
        f"ops/conv_{kind}{suffix}",
        f"conv_{kind}{suffix}_{image.code}_c{image.channels}n{n}{code}z{image.zero}",
        parameters,
        needs,
        4 * BLOCK if depthwise else 0,
    )
    weights = b.flash_view(np.ascontiguousarray(laid), name)
    b.call(
        kernel,
        [*span, x, weights, *arguments, y],
        [y],
        note=_note(image, n),
        macs=Extent(image.pixels * weight.size),
    )


def max_pool(b: Builder, node: ir.Node) -> None:
    """Emit the largest elements of windows."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    image = _Image.of(x, node.attributes["kernel_shape"].as_ints(), node)
    ranges, span = b.ranged(image.pixels, 1)
    kernel = Kernel(
        "ops/max_pool", f"max_pool_{image.code}_c{image.channels}", {**image.parameters, **ranges}
    )
    b.call(kernel, [*span, x, y], [y], note=_note(image, image.channels))
