"""Linear layers and tables of embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from intcc.interval import Interval
from intcc.ops.dynamic_quantize import LARGEST_MANTISSA
from intcc.ops.linear import product_interval
from intcc.ops.linear_dynamic import LARGEST_EXPONENT, LARGEST_PRODUCT
from intcc.ops.rows import LARGEST_INPUT
from tests.c.bench import Bench
from tests.c.cases import weight
from tests.npu.random_cases.draw import Cases, Draw, codes, quotient, wide
from tests.ops.harness import Array, i32, i64

__all__ = ["CASES"]

#: Bytes of rows that have their own scale, and the code of zero.
_ROW_CODES, _ZERO = (1, 255), 128


def _weight(d: Draw, k: int, n: int, largest: int) -> Array:
    """Return weights as large as the pair bound allows beside bytes up to `largest`, or ternary."""
    limit = min(127, 32767 // max(2 * largest, 1))
    return weight(d.rng, k, n, d.one_of(1, limit, limit, d.number(1, limit)))


def _product(b: Bench, d: Draw) -> tuple[ir.Value, Array, Interval]:
    """Return bytes, weights [K][N], and what their product lies in."""
    k, n = d.extent(d.one_of(20, 300, 2000)), d.extent(90)
    lo, hi = d.span(0, 255)
    x = codes(b, d, d.shape(k), lo, hi)
    w = _weight(d, k, n, hi)
    return x, w, product_interval(Interval.of(lo, hi), w)


def _linear(b: Bench, d: Draw) -> None:
    x, w, acc = _product(b, d)
    b.output(*b.op("Linear", [x, w, *quotient(d, acc, *d.span(0, 255))]))


def _linear_wide(b: Bench, d: Draw) -> None:
    x, w, acc = _product(b, d)
    n = w.shape[1]
    mul = d.factors(d.one_of(1, n), acc)
    bias = d.biases(d.one_of(1, n), acc * Interval.of(mul, mul))
    b.output(*b.op("LinearWide", [x, w, i32(mul), i32(bias)]))


def _rows(b: Bench, d: Draw, k: int) -> tuple[list[ir.Value], int, int]:
    """Return bytes with a scale per row, the largest mantissa and the largest exponent."""
    shape = d.shape(k)
    if d.chance():
        x = wide(b, d, shape, *d.span(-LARGEST_INPUT, LARGEST_INPUT))
        return b.op("DynamicQuantize", [x], outputs=3), LARGEST_MANTISSA, LARGEST_EXPONENT
    m, e = d.span(0, LARGEST_MANTISSA), d.span(0, LARGEST_EXPONENT)
    scales = [b.input(np.int32, [*shape[:-1], 1], *ends) for ends in (m, e)]
    return [b.input(np.uint8, shape, *_ROW_CODES), *scales], m[1], e[1]


def _linear_dynamic(kind: str) -> Callable[[Bench, Draw], None]:
    def build(b: Bench, d: Draw) -> None:
        k, n = d.extent(d.one_of(20, 200)), d.extent(60)
        rows, m, e = _rows(b, d, k)
        most = 127 if kind == "LinearDynamicFull" else 64
        w = weight(d.rng, k, n, d.one_of(1, most, d.number(1, most)))
        reach = product_interval(Interval.symmetric(127), w).magnitude
        limit = min(2**31 - 1, LARGEST_PRODUCT // max(reach * m, 1))
        mul, shift = d.numbers(0, limit, n), d.number(e + 1, 62)
        bias = d.numbers(-(2**31), 2**31 - 1, n)
        if d.chance(0.7):  # results of up to some length
            mul, length = d.numbers(limit // 9, limit, n), d.number(0, 32)
            whole = (limit * reach * m << e).bit_length()
            shift = min(max(whole - length, e + 1), 62)
            bias = d.numbers(-(1 << length) // 2, (1 << length) // 2 - 1, n)
        b.output(*b.op(kind, [*rows, w, i64(mul), i64(shift), i32(bias)]))

    return build


def _embedding(b: Bench, d: Draw) -> None:
    rows, n = d.extent(d.one_of(300, 3000)), d.extent(60)
    info: Any = np.iinfo(d.one_of(np.int8, np.int16))
    table = d.numbers(*d.span(info.min, info.max), (rows, n)).astype(info.dtype)
    ends = Interval.of(table.min(1), table.max(1))
    mul = d.factors(rows, ends)[:, None]
    ids = b.input(np.int64, d.one_of(["batch", "sequence"], ["sequence"], ["batch", 3, "sequence"]),
                  *d.span(0, rows - 1))  # fmt: skip
    b.output(*b.op("Embedding", [ids, table, i32(mul)]))


CASES: Cases = {
    "Embedding": _embedding,
    "Linear": _linear,
    "LinearDynamic": _linear_dynamic("LinearDynamic"),
    "LinearDynamicFull": _linear_dynamic("LinearDynamicFull"),
    "LinearWide": _linear_wide,
}
