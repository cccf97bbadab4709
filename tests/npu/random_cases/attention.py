"""Attention of encoders, products of two activations, rotary positions."""

from __future__ import annotations

from typing import Any

import numpy as np

from intcc.ops import attention
from intcc.ops.key_mask import MASKED
from intcc.ops.phases import phase_table
from tests.c.bench import Bench
from tests.npu.random_cases.draw import LONGEST, Cases, Draw, codes, wide
from tests.ops.harness import i32, i64

__all__ = ["CASES"]

#: Rows of a table of positions: those of the longest call, and of the calls that find the extents.
_ROWS = LONGEST + 1


def _addend(b: Bench, d: Draw, heads: int, keys: str, room: int) -> Any:
    """Return what is added to the scores: nothing, a bias, a mask of padding, or both."""
    kind = d.one_of("none", "bias", "mask", "both")
    if kind == "none":
        return i32(np.zeros((1, 1, 1, 1)))
    masks = b.input(np.int64, ["batch", keys], *d.one_of((0, 1), (-2, 2), (0, 0)))
    mask = b.op("KeyMask", [masks])[0] if kind != "bias" else None
    if kind == "mask":
        return mask
    shape: list[int | str] = [d.one_of(1, "batch"), d.one_of(1, heads), "sequence", keys]
    reach = d.number(0, room + (0 if mask is None else MASKED))
    bias = b.input(np.int32, shape, -reach, reach)
    return bias if mask is None else b.op("Add", [bias, mask])[0]


def _attention(b: Bench, d: Draw) -> None:
    """Keys may be as many as queries, or another number."""
    heads, dim = d.extent(6), d.extent(d.one_of(16, 70))
    keys = d.one_of("sequence", "sequence", "past")
    q = codes(b, d, ["batch", "sequence", heads * dim], *d.span(0, 127))
    k, v = (codes(b, d, ["batch", keys, heads * dim], *d.span(1, 255)) for _ in range(2))
    longest = int(d.real(LONGEST, 4000))
    constants = attention.parameters(d.real(1e-7, 20), longest, heads, dim, heads)
    room = 2**30 - 64 * 127 * dim - int(constants[2]) - 1
    b.output(*b.op("Attention", [q, k, v, _addend(b, d, heads, keys, room), *constants]))


def _batch_matmul(b: Bench, d: Draw) -> None:
    """Extents before the last two broadcast; a matrix may multiply all."""
    rows, inner, columns = ([d.extent(40), name] for name in ("sequence", "past", "past"))
    m, k, n = (d.one_of(*pair) for pair in (rows, inner, columns))
    first = d.one_of(["batch", d.extent(4)], ["batch"], [d.extent(4)], [])
    left, right = ([1 if d.chance(0.2) else e for e in first] for _ in range(2))
    x = b.input(np.uint8, [*left, m, k], *d.span(0, 127))
    y = b.input(np.uint8, [*d.one_of(right, right, []), k, n], *d.span(1, 255))
    b.output(*b.op("BatchMatMul", [x, np.asarray(d.number(0, 255), np.uint8), y]))


def _rotary(b: Bench, d: Draw) -> None:
    """Rows of a table, or computed ones; all of a head turns, or its beginning."""
    heads, half = d.extent(5), d.extent(20)
    rest = d.one_of(0, 0, d.extent(9))
    reach = 2**31 - 1
    x = wide(b, d, ["batch", "sequence", heads, 2 * half + rest], *d.span(-reach, reach))
    largest, kind = 2**15 - 1, d.one_of("phases", "any", "computed")
    if kind == "computed":
        shape: list[int | str] = [1, "sequence", 1, half]
        pair = [b.input(np.int32, shape, *d.span(-largest, largest)) for _ in range(2)]
    else:
        tables = [i32(d.numbers(-largest, largest, (_ROWS, half))) for _ in range(2)]
        if kind == "phases":
            turns = d.numbers(0, 2**32 - 1, half)
            tables = list(phase_table(turns, _ROWS, d.number(1, 2**17 - 4)))
        length = b.move("Shape", [x], start=1, end=2)[0]
        pair = [b.move("Slice", [t[None, :, None], i64([0]), length, i64([1])])[0] for t in tables]
    b.output(*b.op("Rotary", [x, *pair]))


CASES: Cases = {
    "Attention": _attention,
    "BatchMatMul": _batch_matmul,
    "Rotary": _rotary,
}
