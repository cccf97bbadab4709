"""Embedding: rows of a constant table, int8 or int16 with one integer multiplier per row.

    y = table[ids] * mul[ids]             ids [...] i64, table [V, C] s8 or s16, y [..., C] i32

Constraints
    (C1) 0 <= ids < V                           a status in C, a check of the runtimes elsewhere
    (C2) |table * mul| < 2**31
Error
    none
"""

from __future__ import annotations

import numpy as np
from onnxscript import INT8, INT32, INT64, script
from onnxscript import opset20 as op

from intcc.errors import RangeProofError
from intcc.interval import INT32 as I32
from intcc.interval import Interval, Operand, require_fits
from intcc.ops.operator import DOMAIN, Array, Operator, Vector, as_array

__all__ = ["OPERATOR"]


@script(DOMAIN, default_opset=op)
def Embedding(ids: INT64, table: INT8, mul: INT32) -> INT32:
    """Table look-up with per-row scale."""
    rows = op.Cast(op.Gather(table, ids, axis=0), to=6)
    return op.Mul(rows, op.Gather(mul, ids, axis=0))


def reference(ids: Array, table: Array, mul: Array) -> Array:
    """Exact integers."""
    return (table[ids].astype(np.int64) * mul[ids]).astype(np.int32)


#: Rows that are looked at together: int64 takes more memory than the table.
_ROWS = 4096


def bounds(ids: Operand, table: Operand, mul: Operand) -> Interval:
    """Prove C1 and C2; per channel over all rows."""
    rows = table.value.shape[0]
    if ids.interval.min < 0 or ids.interval.max >= rows:
        raise RangeProofError(
            "Embedding ids",
            f"range over [{ids.interval.min}, {ids.interval.max}] in a table of {rows} rows",
            "Declare the input's range",
        )
    pieces = []
    for start in range(0, rows, _ROWS):
        part = slice(start, start + _ROWS)
        product = table.value[part].astype(np.int64) * mul.value[part].astype(np.int64)
        pieces.append((product.min(0), product.max(0)))
    y = Interval.of(np.min([p[0] for p in pieces], 0), np.max([p[1] for p in pieces], 0))
    require_fits(y, I32, "Embedding")
    return y


vectors = (
    Vector(
        inputs=(
            as_array([[2, 0], [1, 1]], np.int64),
            as_array([[-127, 127], [1, -2], [0, 5]], np.int8),
            as_array([[2**24], [3], [7]], np.int32),
        ),
        outputs=(as_array([[[0, 35], [-127 * 2**24, 127 * 2**24]], [[3, -6], [3, -6]]], np.int32),),
    ),
)

OPERATOR = Operator(Embedding, reference, bounds, vectors)
