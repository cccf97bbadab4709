"""Ternary weights: layers whose weights are all -1, 0 or 1, packed several to a byte.

    2bit     4 weights per byte, weight + 1 in two bits each
    trits    5 weights per byte, as the fraction  sum (w[j] + 1) * 3**(4 - j) / 3**5  in 1/256,
             rounded up: each product by 3 pushes the next digit out at the top

A column of K weights is cut into chunks. The byte i of a chunk of B bytes holds the weights
i, B + i, 2 * B + i ..., so that unpacking a chunk is the same operation on neighbouring bytes.
A kernel unpacks a chunk of a few columns and uses it for a block of rows.

A machine without vectors unpacks two columns into the halves of a word and multiplies both at
once: |sum of x w| < 2**15 for x <= 255 and 128 terms, so that a chunk's two sums share a word too.

x86 has a form of products for weights of two bits, see `intcc.backends.c.matmul`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.c.builder import Builder
from intcc.backends.c.matmul import Tile
from intcc.backends.c.program import Kernel, View
from intcc.backends.c.shapes import Extent
from intcc.backends.c.target import Target

__all__ = [
    "PACKINGS",
    "Packing",
    "is_ternary",
    "pack",
    "packed_weight",
    "packing_of",
    "rows_of",
    "tile_of",
]

Int8 = npt.NDArray[np.int8]

#: Rows that share an unpacked chunk, where the stack has room for their sums.
_ROWS = 16
#: Columns that are unpacked together.
_COLUMNS = 4
#: Rows of a block of pairs, and the most terms of its sums: see the module's docstring.
_PAIR_ROWS, _PAIR_CHUNK = 4, 128


@dataclass(frozen=True)
class Packing:
    """A way to pack ternary weights.

    Attributes:
        code: for the kernel's name.
        factors: what each digit, 0 to 2, of a byte counts.
        divisor: the digits' sum is stored as ceil(sum * 256 / divisor).
        chunk: weights of a full chunk, a multiple of the digits per byte.
        digits: the digits of the byte v in C.
        pairs: the digits of two bytes at once, which lie in the halves of the word v.
    """

    code: str
    factors: tuple[int, ...]
    divisor: int
    chunk: int
    digits: tuple[str, ...]
    pairs: tuple[str, ...]

    def chunk_of(self, k: int) -> int:
        """Return the weights in the largest chunk of a column of k."""
        per_byte = len(self.factors)
        return min(self.chunk, -(-k // per_byte) * per_byte)

    def stride(self, k: int) -> int:
        """Return the bytes of a column of k weights."""
        return -(-k // len(self.factors))


_PAIR = " & 0x30003u"
PACKINGS = {
    "2bit": Packing(
        "t2",
        (1, 4, 16, 64),
        256,
        1024,
        ("v & 3u", "v >> 2 & 3u", "v >> 4 & 3u", "v >> 6"),
        (f"v{_PAIR}", *(f"v >> {2 * j}{_PAIR}" for j in range(1, 4))),
    ),
    "trits": Packing(
        "t3",
        (81, 27, 9, 3, 1),
        243,
        960,
        ("v * 3u >> 8", *(f"(uint8_t)(v * {3**j}u) * 3u >> 8" for j in range(1, 5))),
        (
            f"v * 3u >> 8{_PAIR}",
            *(f"(v * {3**j}u & 0xff00ffu) * 3u >> 8{_PAIR}" for j in range(1, 5)),
        ),
    ),
}


def packing_of(target: Target) -> Packing | None:
    """Return the target's packing, with chunks that leave half of its stack to the sums."""
    packing = PACKINGS.get(target.ternary)
    if packing is None:
        return None
    chunk = min(packing.chunk, _PAIR_CHUNK) if target.ternary_pairs else packing.chunk
    if target.ternary_stack:
        each = 2 if target.ternary_pairs else 1
        chunk = min(chunk, target.ternary_stack // 2 // (_COLUMNS * each))
    return replace(packing, chunk=chunk - chunk % len(packing.factors))


def rows_of(target: Target) -> int:
    """Return how many rows share an unpacked chunk."""
    room = target.ternary_stack // 2 // (4 * target.matmul.tile)
    return min(_ROWS, room) if target.ternary_stack else _ROWS


def is_ternary(weight: Int8) -> bool:
    """Tell whether all weights are -1, 0 or 1."""
    return bool(weight.min(initial=0) >= -1 and weight.max(initial=0) <= 1)


def pack(weight: Int8, packing: Packing) -> Int8:
    """Return the columns [N][K] packed, [N][stride]; bytes, written as the int8 of equal bits."""
    factors = np.array(packing.factors)[:, None]
    pieces = []
    for start in range(0, weight.shape[1], packing.chunk):
        codes = weight[:, start : start + packing.chunk].astype(np.int64) + 1
        padding = -codes.shape[1] % len(packing.factors)
        planes = np.pad(codes, ((0, 0), (0, padding))).reshape(len(codes), len(factors), -1)
        total = (planes * factors).sum(1)
        pieces.append(-(-total * 256 // packing.divisor))
    return np.concatenate(pieces, 1).astype(np.uint8).view(np.int8)


def packed_weight(b: Builder, weight: ir.Value | None, packing: Packing) -> View:
    """Return weights [K][N] as packed columns, padded with zero columns to whole blocks."""
    assert weight is not None
    w = b.constant(weight).T
    padded = np.pad(w, ((0, -w.shape[0] % _COLUMNS), (0, 0)))
    return b.flash_view(pack(padded, packing), str(weight.name))


def tile_of(b: Builder, k: int, rows: Extent, packing: Packing) -> Tile:
    """Return the tile of a product along k with packed weights."""
    most = rows_of(b.target)
    height = min(most, rows.coefficient) if rows.static else most
    chunk = packing.chunk_of(k)
    parameters = {
        "k": k,
        "columns": _COLUMNS,
        "tile": b.target.matmul.tile,
        "chunk": chunk,
        "per_byte": len(packing.factors),
        "stride": packing.stride(k),
    }
    name = f"tile_{packing.code}_k{k}"
    if b.target.ternary_pairs:
        kernel = _pairs(name, parameters, packing, min(_PAIR_ROWS, height))
    else:
        kernel = _panel(name, parameters, packing)
    return Tile(kernel, height, packing.stride(k), 0)


def _panel(name: str, parameters: dict[str, Any], packing: Packing) -> Kernel:
    """Return the tile that unpacks to bytes."""
    chunk = parameters["chunk"]
    unpack = Kernel("kernels/unpack_ternary", f"unpack_{packing.code}", {"digits": packing.digits})
    shape = {"columns": _COLUMNS, "chunk": chunk}
    dot = Kernel("kernels/dot_panel", f"dot{_COLUMNS}_{chunk}", shape)
    parameters |= {"unpack": unpack.name, "dot": dot.name}
    stack = _COLUMNS * chunk
    return Kernel("kernels/tile_ternary", name, parameters, (unpack, dot), stack)


def _pairs(name: str, parameters: dict[str, Any], packing: Packing, rows: int) -> Kernel:
    """Return the tile that unpacks two columns to a word, for blocks of some rows."""
    columns, k = _COLUMNS, parameters["k"]
    shape = {"k": k, "columns": columns, "stride": parameters["stride"], "pairs": packing.pairs}
    row = Kernel("kernels/row_pairs", f"row_{packing.code}x{columns}_k{k}", shape)
    parameters |= {"row": row.name, "rows": rows}
    needs, stack = [row], 0
    if rows > 1:
        halves = Kernel("kernels/halves", "halves")
        unpack = Kernel("kernels/unpack_pairs", f"unpack_{packing.code}", {"pairs": packing.pairs})
        shape = {"k": k, "columns": columns, "rows": rows, "tile": parameters["tile"]}
        dot = Kernel("kernels/dot_pairs", f"pairs{rows}x{columns}_k{k}", shape, (halves,))
        parameters |= {"unpack": unpack.name, "dot": dot.name}
        needs, stack = [row, unpack, dot], 2 * columns * parameters["chunk"]
    return Kernel("kernels/tile_ternary_pairs", f"{name}_r{rows}", parameters, tuple(needs), stack)
