"""Convolutions and pooling."""

from __future__ import annotations

from typing import Any

from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand
from intcc.ops.conv import accumulated, weight_sums
from intcc.ops.windows import Windows
from tests.c.bench import Bench
from tests.c.cases_conv import image_and_weight
from tests.npu.random_cases.draw import Cases, Draw, codes, quotient
from tests.ops.harness import Array, i32

__all__ = ["CASES"]


def _windows(d: Draw, height: int, width: int, pool: bool) -> Windows:
    """Return windows of which each holds a pixel; pooling pads by less than its kernel."""
    while True:
        kernel, strides, dilations = ([d.extent(n) for _ in range(2)] for n in (4, 3, 3))
        reach = [(k - 1) * (1 if pool else e) for k, e in zip(kernel, dilations, strict=True)]
        pads = [d.number(0, reach[i % 2]) if d.chance(0.7) else 0 for i in range(4)]
        windows = Windows.of(kernel, strides, pads, dilations)
        try:
            windows.require("a case", height, width)
        except RangeProofError:
            continue
        return windows


def _groups(d: Draw) -> tuple[int, int, int]:
    """Return channels, filters and groups: one, one per channel, or something between."""
    kind, each, times = d.one_of("one", "each", "some"), d.extent(5), d.extent(4)
    if kind == "one":
        return d.extent(20), d.extent(20), 1
    groups = d.extent(20 if kind == "each" else 4)
    return groups * (1 if kind == "each" else each), groups * times, groups


def _case(b: Bench, d: Draw) -> tuple[list[Any], dict[str, Any], Interval, Interval]:
    """Return operands, attributes, the range of the sums, and zero times the sums of weights."""
    height, width = d.extent(12), d.extent(12)
    windows = _windows(d, height, width, pool=False)
    channels, filters, group = _groups(d)
    size = ((height, width, channels), (filters, *windows.kernel))
    geometry = (*size, windows.strides, windows.pads, windows.dilations, group)
    lo, hi = d.span(0, 255)
    image = codes(b, d, ["batch", height, width, channels], lo, hi)
    made, attributes = image_and_weight(b, d.rng, geometry, image)
    weight: Array = made[2]
    if d.chance(0.2):
        weight[d.rng.random(weight.shape) < 0.3] = -128
    bytes_ = Operand(Interval.of(lo, hi), (1, height, width, channels))
    zero, taps = (Operand.of_constant(v) for v in made[1:])
    acc = accumulated("a case", bytes_, zero, taps, windows, group)
    stored = weight_sums(weight) * int(made[1])
    return made, attributes, acc, Interval.of(stored, stored)


def _conv(b: Bench, d: Draw) -> None:
    made, attributes, acc, stored = _case(b, d)
    b.output(*b.op("Conv", [*made, *quotient(d, acc, *d.span(0, 255), -stored)], **attributes))


def _conv_wide(b: Bench, d: Draw) -> None:
    made, attributes, acc, stored = _case(b, d)
    n = len(made[2])
    mul = d.factors(d.one_of(1, n), acc, acc + stored, stored)
    factor = Interval.of(mul, mul)
    bias = d.biases(d.one_of(1, n), acc * factor, -stored * factor)
    b.output(*b.op("ConvWide", [*made, i32(mul), i32(bias)], **attributes))


def _max_pool(b: Bench, d: Draw) -> None:
    height, width = d.extent(15), d.extent(15)
    windows = _windows(d, height, width, pool=True)
    x = codes(b, d, ["batch", height, width, d.extent(20)], *d.span(0, 255))
    attributes: dict[str, Any] = {
        "kernel_shape": windows.kernel,
        "strides": windows.strides,
        "pads": windows.pads,
        "dilations": windows.dilations,
    }
    b.output(*b.op("MaxPool", [x], **attributes))


CASES: Cases = {
    "Conv": _conv,
    "ConvWide": _conv_wide,
    "MaxPool": _max_pool,
}
