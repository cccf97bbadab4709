"""Cases of what language models add: gates, rotary positions, ternary weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from intcc.ops import gelu_wide, linear_dynamic, rotary
from tests.c.bench import Bench
from tests.ops.harness import i32, i64

__all__ = ["DECODER_CASES", "ternary"]

S = "sequence"


def product(b: Bench) -> None:
    b.case("product")
    reach = 2**31 - 1
    x = b.input(np.int32, ["batch", S, 12], -reach, reach)
    y = b.input(np.int32, ["batch", S, 12], -reach, reach)
    gate = b.input(np.int32, ["batch", S, 1], -(2**15), 2**15)
    row = b.input(np.int32, ["batch", 1, 12], -(2**15), 2**15)
    ends = [i32(-reach - 1), i32(reach)]
    b.output(*b.op("Product", [x, y, i64(31), *ends]))
    b.output(*b.op("Product", [x, x, i64(0), *ends]))
    b.output(*b.op("Product", [x, gate, i64(15), *ends]))
    b.output(*b.op("Product", [gate, x, i64(62), i32(-1), i32(0)]))
    b.output(*b.op("Product", [row, x, i64(1), *ends]))
    b.output(*b.op("Product", [x, i32(np.arange(12)), i64(2), i32(-(2**29)), i32(2**29)]))
    root = b.op("Rescale", [x, i64(7), i64(9), *ends])
    squared = b.op("Product", [root[0], root[0], i64(30), *ends])
    b.output(*b.op("Product", [squared[0], gate, i64(10), *ends]))
    up, down = (b.op("Rescale", [v, i64(3), i64(9), *ends]) for v in (x, y))
    both = b.op("Product", [up[0], down[0], i64(15), *ends])
    b.output(*b.op("Product", [both[0], gate, i64(10), *ends]))
    up, down = (b.op("Rescale", [v, i64(5), i64(9), *ends]) for v in (x, y))
    first = b.op("Product", [up[0], y, i64(32), *ends])
    b.output(*b.op("Product", [x, down[0], i64(33), *ends]))
    b.output(*b.op("Product", [first[0], gate, i64(16), *ends]))


def rotations(b: Bench) -> None:
    rng = np.random.default_rng(8)
    for heads, dim, half in ((1, 2, 1), (3, 16, 8), (2, 21, 6), (2, 45, 21)):
        b.case(f"rotary_{heads}x{dim}")
        x = b.input(np.int32, ["batch", S, heads, dim], -(2**31) + 1, 2**31 - 1)
        length = b.move("Shape", [x], start=1, end=2)
        angles = rng.uniform(-9, 9, (1, 50, 1, half))
        rows = [
            b.move("Slice", [rotary.table(t), i64([0]), length[0], i64([1])])[0]
            for t in (np.cos(angles), 1.9 * np.sin(angles))
        ]
        b.output(*b.op("Rotary", [x, *rows]))
        stream = b.op("Affine", [x, i32([1]), i32([0])])
        turned = b.op("Rotary", [stream[0], *rows])
        b.output(*b.op("Relu", turned))


def gelu_wide_forms(b: Bench) -> None:
    for bits, reach in ((8, 3000), (20, 2**23), (13, 60000), (26, 2**31 - 1), (0, 9)):
        for variant in ("none", "tanh"):
            b.case(f"gelu_wide_{bits}_{variant}")
            x = b.input(np.int32, ["batch", S, 9], -reach, reach)
            constants = gelu_wide.parameters(2.0**-bits, variant)
            b.output(*b.op("GeluWide", [x, *constants]))
    onto = b.op("GeluWide", [b.op("Affine", [x, i32([3]), i32([1])])[0], *constants])
    b.output(*b.op("Relu", onto))


def ternary(b: Bench) -> None:
    """Columns of less than a byte, of odd ends, of whole chunks and of more than one."""
    rng = np.random.default_rng(9)
    shapes = [(1, 1), (3, 5), (4, 4), (5, 33), (61, 17), (64, 32), (960, 6), (1024, 9), (2051, 7)]
    for k, n in shapes:
        b.case(f"ternary_{k}x{n}")
        x = b.input(np.int32, ["batch", S, k], -(2**28), 2**28)
        weight = rng.integers(-1, 1, (k, n), endpoint=True).astype(np.int8)
        mul, shift = linear_dynamic.parameters(rng.uniform(1e-5, 1e-3, n), weight)
        quantized = b.op("DynamicQuantize", [x], outputs=3)
        bias = i32(rng.integers(-(2**20), 2**20, n))
        b.output(*b.op("LinearDynamic", [*quantized, weight, mul, shift, bias]))
    for rows in (1, 3, 20):
        b.case(f"ternary_{rows}_rows")
        x = b.input(np.int32, [rows, 61], -(2**28), 2**28)
        quantized = b.op("DynamicQuantize", [x], outputs=3)
        weight = rng.integers(-1, 1, (61, 61), endpoint=True).astype(np.int8)
        mul, shift = linear_dynamic.parameters(np.full(61, 1e-4), weight)
        y = b.op("LinearDynamic", [*quantized, weight, mul, shift, i32(np.zeros(61))])
        b.output(*b.op("SaturatingAdd", [y[0], x]))


def saturating_add(b: Bench) -> None:
    b.case("saturating_add")
    x = b.input(np.int32, ["batch", S, 12], -(2**29), 2**29)
    y = b.input(np.int32, ["batch", S, 12], -(2**29), 2**29)
    b.output(*b.op("SaturatingAdd", [x, y]))
    b.output(*b.op("SaturatingAdd", [x, i32(np.arange(12))]))


def linear_dynamic_full(b: Bench) -> None:
    rng = np.random.default_rng(14)
    for n in (7, 24):
        b.case(f"linear_dynamic_full_{n}")
        x = b.input(np.int32, ["batch", S, 24], -(2**28), 2**28)
        quantized = b.op("DynamicQuantize", [x], outputs=3)
        weight = rng.integers(-127, 127, (24, n), endpoint=True).astype(np.int8)
        mul, shift = linear_dynamic.parameters(rng.uniform(1e-5, 1e-4, n), weight)
        y = b.op("LinearDynamicFull", [*quantized, weight, mul, shift, i32(np.arange(n))])
        b.output(*(b.op("SaturatingAdd", [y[0], x]) if n == 24 else y))


#: Cases by template stem; ternary layers are a form of LinearDynamic.
DECODER_CASES: Mapping[str, Callable[[Bench], None]] = {
    "gelu_wide": gelu_wide_forms,
    "linear_dynamic_full": linear_dynamic_full,
    "product": product,
    "rotary": rotations,
    "saturating_add": saturating_add,
    "ternary": ternary,
}
