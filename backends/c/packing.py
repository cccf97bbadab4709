"""Orders of packed weights: each turns [N][K] into the bytes that one family of kernels reads.

columns    column after column
panels     a few columns, for one k after the other: neighbouring columns lie side by side, so
           that one pointer, or one vector load, serves them all
biased     weight + 128 as unsigned bytes, in columns or in panels
quads      4 columns of 4 k each: the 16 bytes that one dot product instruction multiplies
octets     2 columns of 8 k each: the 16 bytes that one matrix product instruction multiplies
quad_tiles 4 k each of all columns of a tile: vectors of any length hold whole groups of 4
ternary_tiles  16 k each as 4 bytes of a column: byte i of them holds weights i, 4 + i, 8 + i and
           12 + i, each plus 1 in two bits
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intcc.backends.c.target import Matmul

__all__ = [
    "biased",
    "biased_panels",
    "columns",
    "octets",
    "panels",
    "quad_tiles",
    "quads",
    "ternary_tiles",
    "tiles",
]

Int8 = npt.NDArray[np.int8]


def columns(w: Int8, matmul: Matmul) -> Int8:
    """Return [N][K] as it is: column after column."""
    return w


def _panels(w: Int8, width: int) -> Int8:
    pieces = [w[n : n + width].T.reshape(-1) for n in range(0, len(w), width)]
    return np.concatenate([np.zeros(0, np.int8), *pieces])


def panels(w: Int8, matmul: Matmul) -> Int8:
    """Return [N / columns][K][columns]: panels as wide as a register block."""
    return _panels(w, matmul.columns)


def biased(w: Int8, matmul: Matmul) -> Int8:
    """Return w + 128 column after column, bytes written as the int8 of equal bits."""
    return w ^ np.int8(-128)


def biased_panels(w: Int8, matmul: Matmul) -> Int8:
    """Return panels of w + 128."""
    return panels(biased(w, matmul), matmul)


def tiles(w: Int8, matmul: Matmul) -> Int8:
    """Return [N / tile][K][tile]: panels as wide as a tile, the last as wide as what is left."""
    return _panels(w, matmul.tile)


def _groups(w: Int8, width: int, inner: int) -> Int8:
    n, k = w.shape
    groups = w.reshape(n // width, width, k // inner, inner)
    return groups.transpose(0, 2, 1, 3).reshape(-1)


def quads(w: Int8, matmul: Matmul) -> Int8:
    """Return [N / 4][K / 4][4][4]; N and K must be multiples of 4."""
    return _groups(w, 4, 4)


def octets(w: Int8, matmul: Matmul) -> Int8:
    """Return [N / 2][K / 8][2][8]; N must be a multiple of 2, K of 8."""
    return _groups(w, 2, 8)


def quad_tiles(w: Int8, matmul: Matmul) -> Int8:
    """Return [N / tile][K / 4][tile][4], the last tile as wide as what is left; 4 divides K."""
    pieces = []
    for start in range(0, len(w), matmul.tile):
        tile = w[start : start + matmul.tile]
        pieces.append(tile.reshape(len(tile), -1, 4).transpose(1, 0, 2).reshape(-1))
    return np.concatenate([np.zeros(0, np.int8), *pieces])


def ternary_tiles(w: Int8, matmul: Matmul) -> Int8:
    """Return the bytes [N / tile][K / 16][tile][4] of weights -1, 0 and 1; 16 divides K."""
    n, k = w.shape
    codes = (w + 1).view(np.uint8).reshape(n, k // 16, 4, 4)
    packed = (codes << np.arange(0, 8, 2, dtype=np.uint8)[:, None]).sum(2, dtype=np.uint8)
    return quad_tiles(packed.view(np.int8).reshape(n, -1), matmul)
