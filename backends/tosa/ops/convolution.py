"""Convolutions and pooling of images [B, H, W, C], the layout of TOSA."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.backends.tosa.arithmetic import ZERO, clip, each
from intcc.backends.tosa.builder import Builder, Geometry
from intcc.backends.tosa.graph import Tensor, Type
from intcc.backends.tosa.quotients import Quotients
from intcc.backends.tosa.site import Site
from intcc.interval import Interval, Operand
from intcc.ops.conv import accumulated
from intcc.ops.windows import Windows

__all__ = ["RULES"]

Array = npt.NDArray[Any]


def _trimmed(b: Builder, x: Tensor, windows: Windows) -> tuple[Tensor, list[int]]:
    """Return the image and pads [top, bottom, left, right] of which the windows use all.

    TOSA takes no rows or columns that are left over behind the last window.
    """
    size, pads = list(x.shape), []
    for axis in (0, 1):
        covered = windows.dilations[axis] * (windows.kernel[axis] - 1) + 1
        used = (windows.extent(axis, x.shape[axis + 1]) - 1) * windows.strides[axis] + covered
        behind = used - windows.pads[axis] - x.shape[axis + 1]
        size[axis + 1] += min(behind, 0)
        pads += [windows.pads[axis], max(behind, 0)]
    return b.slice(x, [0] * 4, size), pads


def _windows(site: Site, kernel: Any) -> Windows:
    names = ("strides", "pads", "dilations")
    return Windows.of(kernel, *(site.attribute(name) for name in names))


def _shape(x: Tensor, windows: Windows, channels: int) -> tuple[int, ...]:
    rows, columns = (windows.extent(axis, x.shape[axis + 1]) for axis in (0, 1))
    return (x.shape[0], rows, columns, channels)


def _convolved(site: Site, bias: Array, interval: Interval) -> Tensor:
    """Return acc + bias, of which the range is known."""
    b, x, weight = site.b, site.tensor(0), site.array(2)
    windows, group = _windows(site, weight.shape[1:3]), int(site.attribute("group"))
    n, channels = len(weight), x.shape[-1]
    shape = _shape(x, windows, n)
    image, pads = _trimmed(b, x, windows)
    how = Geometry(pads, windows.strides, windows.dilations)
    zero = site.number(1) + ZERO
    if group == 1:
        constants = b.constant(weight, Type.INT8), b.constant(bias, Type.INT32)
        return b.convolve("CONV2D", image, *constants, shape, interval, zero, how)
    if weight.shape[-1] == 1:
        # [N, KH, KW, 1] to [KH, KW, C, N / C]
        taps = weight.reshape(channels, n // channels, *weight.shape[1:3]).transpose(2, 3, 0, 1)
        constants = b.constant(taps, Type.INT8), b.constant(bias, Type.INT32)
        kind = "DEPTHWISE_CONV2D"
        return b.convolve(kind, image, *constants, shape, interval, zero, how)
    parts, each_in, each_out = [], channels // group, n // group
    for g in range(group):
        own = slice(g * each_out, (g + 1) * each_out)
        part = b.slice(image, (0, 0, 0, g * each_in), (*image.shape[:3], each_in))
        constants = b.constant(weight[own], Type.INT8), b.constant(bias[own], Type.INT32)
        known = Interval(interval.lo[own], interval.hi[own])
        size = (*shape[:3], each_out)
        parts.append(b.convolve("CONV2D", part, *constants, size, known, zero, how))
    joined = b.concat(parts, 3)
    joined.interval = interval
    return joined


def _range(site: Site, what: str) -> Interval:
    x, weight = site.tensor(0), site.array(2)
    windows = _windows(site, weight.shape[1:3])
    image = Operand(x.interval - ZERO, x.shape)
    zero, taps = (Operand.of_constant(site.array(i)) for i in (1, 2))
    return accumulated(what, image, zero, taps, windows, int(site.attribute("group")))


def _each(values: Array, count: int) -> Array:
    return np.broadcast_to(values.astype(np.int64).reshape(-1), (count,))


def conv(site: Site) -> list[Tensor]:
    """clip((acc + bias) / divisor, lo, hi)."""
    count = len(site.array(2))
    bias, divisor = (_each(site.array(i), count) for i in (3, 4))
    total = _range(site, "Conv") + Interval.of(bias, bias)
    how = Quotients.of(total, divisor, site.number(5), site.number(6))
    moved = how.moved(bias)
    if moved is None:
        return [how.divide(site.b, _convolved(site, bias, total))]
    offset = Interval(how.offset, how.offset)
    return [how.finish(site.b, _convolved(site, moved, total + offset))]


def conv_wide(site: Site) -> list[Tensor]:
    """Return acc * mul + bias."""
    b, count = site.b, len(site.array(2))
    acc = _convolved(site, np.zeros(count, np.int64), _range(site, "ConvWide"))
    return [b.add(b.mul(acc, each(site.array(3))), each(site.array(4)))]


def max_pool(site: Site) -> list[Tensor]:
    """Largest element of each window."""
    b, x = site.b, site.tensor(0)
    windows = _windows(site, site.attribute("kernel_shape"))
    shape = _shape(x, windows, x.shape[-1])
    image, pads = _trimmed(b, x, windows)
    if windows.dilations == (1, 1):
        return [b.max_pool(image, windows.kernel, windows.strides, pads, shape)]
    return [_dilated(b, image, pads, windows, shape)]


def _dilated(
    b: Builder, x: Tensor, pads: list[int], windows: Windows, shape: tuple[int, ...]
) -> Tensor:
    """TOSA's windows have no gaps: the largest of what each tap sees, one pixel of a stride."""
    padded = b.pad(x, pads, -128)
    best: Tensor | None = None
    size = [(n - 1) * s + 1 for n, s in zip(shape[1:3], windows.strides, strict=True)]
    for i in range(windows.kernel[0]):
        for j in range(windows.kernel[1]):
            start = (0, i * windows.dilations[0], j * windows.dilations[1], 0)
            seen = b.slice(padded, start, (x.shape[0], *size, x.shape[3]))
            tap = b.cast(b.max_pool(seen, (1, 1), windows.strides, [0] * 4, shape), Type.INT32)
            best = tap if best is None else b.maximum(best, tap)
    assert best is not None
    return b.cast(best, Type.INT8)


def clip_rule(site: Site) -> list[Tensor]:
    """min(max(x, lo), hi)."""
    return [clip(site.b, site.tensor(0), site.number(1), site.number(2))]


RULES = {"Clip": clip_rule, "Conv": conv, "ConvWide": conv_wide, "MaxPool": max_pool}
