"""Products of few rows with words of bytes or of halves, on x86: what attention is made of."""

from __future__ import annotations

from intcc.backends.c.matmul import VECTOR
from intcc.backends.c.program import Kernel

__all__ = ["HALVES", "words"]

#: Vectors of pairs of 16-bit numbers.
HALVES = Kernel("kernels/vector_halves", "vector_halves", needs=(VECTOR,))
#: Sums that the registers hold beside what they are made of: of AVX-512, and of AVX2.
_SUMS, _NARROW_SUMS = 16, 8
#: Columns of a vector.
_COLUMNS, _NARROW_COLUMNS = 16, 8


def words(
    name: str, rows: int, columns: int, *, start: bool = False, halves: bool = False
) -> Kernel:
    """Return the kernel `name(steps, width, x, stride, w, [start,] acc)` of some rows.

    Args:
        name: stem of its name.
        rows: of x, a power of two.
        columns: the width is a multiple of it, and it of 16.
        start: whether the sums have numbers of their own to start from.
        halves: words of two 16-bit numbers; else of four bytes, two products fitting 16 bits.
    """
    narrow_rows = min(rows, _NARROW_SUMS // 2)
    vectors = _most(_SUMS // rows, columns // _COLUMNS)
    narrow = _most(_NARROW_SUMS // narrow_rows, columns // _NARROW_COLUMNS)
    parameters = {
        "rows": rows,
        "narrow_rows": narrow_rows,
        "vectors": vectors,
        "narrow_vectors": narrow,
        "start": start,
        "dot": "vector_dot_halves" if halves else "vector_dot_pairs",
        "each": 2 if halves else 4,
        "x_type": "int16_t" if halves else "uint8_t",
        "w_type": "int16_t" if halves else "int8_t",
    }
    return Kernel("kernels/block_words", f"{name}_{vectors}_{narrow}", parameters, (HALVES,))


def _most(limit: int, count: int) -> int:
    """Return the largest power of two, four at most, that divides `count` and passes no limit."""
    return max(v for v in (1, 2, 4) if v <= limit and count % v == 0)
