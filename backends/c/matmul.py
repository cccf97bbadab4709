"""Matmul: the machine forms of a tile of products, and how each wants its weights.

A form computes, for a block of rows of x and a tile of columns of w,

    acc[r][j] = sum over k of (x[r][k] - center) * w[j][k]        x uint8, w int8, acc int32

exactly. Machines that multiply unsigned by signed bytes take x as it is (center 0); those that
multiply signed bytes alone flip its top bit (center 128). What surrounds a tile, the bias, the
rescale and saturation, is the same for all.

Weights are packed at compile time: `pack` turns [N][K] into the form's own order, in which
`columns` columns take `columns * stride(k)` bytes, whatever order these have among themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.c import packing
from intcc.backends.c.builder import Builder
from intcc.backends.c.fuse import DIALECT
from intcc.backends.c.program import Kernel, View
from intcc.backends.c.shapes import Extent
from intcc.backends.c.target import Matmul
from intcc.errors import RangeProofError
from intcc.interval import UINT8, Interval, Operand
from intcc.ops import OPERATORS
from intcc.ops.linear import pair_reach

__all__ = [
    "FORMS", "VECTOR", "Form", "Tile", "form_of", "most_rows", "packed", "packed_weight",
    "suffix_of", "tile_of",
]  # fmt: skip

Int8 = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Form:
    """How one machine family computes a tile.

    Attributes:
        code: for the kernel's name.
        template: of the tile's kernel.
        center: what is subtracted from x, 0 or 128.
        step: K is padded with zero weights to a multiple of this. A kernel reads no x past K.
        pack: [N][K] of whole register blocks, K padded, to bytes in the kernel's order.
        block: template of a register block that has a kernel of its own, one for all rows and
            one for a single row; empty where the tile's kernel holds it.
        span: columns of such a block, 0 for those of the target.
        needs: kernels that its kernel, or a block, calls.
        rows: rows of the block, for a kernel that knows no others; 0 for those of the target.
        chunk: elements of K that the tile's kernel widens at a time; 0 where it reads x as it is.
        scratch: bytes of its stack that a chunk takes.
        dot: the function of vectors that a block calls, for a block that has a kernel for each
            number of rows and k as an argument; empty for others.
        pairs: name of the form for weights where two neighbouring products fit 16 bits.
        ternary: name of the form for ternary weights of two bits.
        digits: weights in a byte.
    """

    code: str
    template: str
    center: int
    step: int
    pack: Callable[[Int8, Matmul], Int8]
    block: str = ""
    span: int = 0
    needs: tuple[Kernel, ...] = ()
    rows: int = 0
    chunk: int = 0
    scratch: int = 0
    dot: str = ""
    pairs: str = ""
    ternary: str = ""
    digits: int = 1

    def stride(self, k: int) -> int:
        """Return the bytes of a column of k weights."""
        return -(-k // self.step) * self.step // self.digits


@dataclass(frozen=True)
class Tile:
    """The kernel of a tile, specialised on K and on a number of rows.

    Attributes:
        kernel: the function `name(left, width, x, w, acc)`.
        rows: the rows of its block.
        stride: bytes of a column of its weights.
        center: what it subtracts from x.
        whole: the function of vectors by which a whole block may be multiplied where its sums stay
            in registers; empty where none is.
    """

    kernel: Kernel
    rows: int
    stride: int
    center: int
    whole: str = ""

    @property
    def most(self) -> int:
        """Rows that the kernel takes at once: those of the last block, and a few left over."""
        return most_rows(self.rows) if self.whole else self.rows


_BLOCKS = "kernels/tile_blocks"
#: Vectors on x86.
VECTOR = Kernel("kernels/vector_x86", "vector")
_DOTPROD_REST = Kernel("kernels/dotprod_rest", "dotprod_rest")
_I8MM_REST = Kernel("kernels/i8mm_rest", "i8mm_rest")


def _row_words(stride: int, center: int) -> Kernel:
    """Return the kernel that puts two rows of x into the halves of words."""
    return Kernel("kernels/row_words", "row_words", {"stride": stride, "center": center})


FORMS: Mapping[str, Form] = {
    "plain": Form("", _BLOCKS, 0, 1, packing.columns, "kernels/block_columns"),
    "panel": Form("p", _BLOCKS, 0, 1, packing.panels, "kernels/block_panel"),
    "rvv": Form("v", _BLOCKS, 0, 1, packing.tiles, "kernels/block_rvv", span=64),
    "dotprod": Form(
        "d", _BLOCKS, 128, 4, packing.quads, "kernels/block_dotprod",
        span=16, needs=(_DOTPROD_REST,),
    ),
    "i8mm": Form(
        "i", _BLOCKS, 0, 8, packing.octets, "kernels/block_i8mm", span=16, needs=(_I8MM_REST,)
    ),
    "halves": Form(
        "h", "kernels/tile_row_halves", 0, 8, packing.biased_panels,
        needs=(_row_words(1, 0),), rows=2, chunk=128, scratch=512,
    ),
    "pairs": Form(
        "w", "kernels/tile_row_pairs", 128, 8, packing.columns,
        needs=(_row_words(2, 128),), rows=4, chunk=64, scratch=512,
    ),
    "mve": Form("m", "kernels/tile_mve", 0, 1, packing.biased, rows=2),
    "smlad": Form(
        "s", "kernels/tile_smlad", 128, 4, packing.columns,
        needs=(Kernel("kernels/dsp", "word_at"),), rows=4, chunk=64, scratch=512,
    ),
    "x86": Form(
        "x", "kernels/tile_x86", 0, 4, packing.quad_tiles, "kernels/block_x86",
        needs=(VECTOR,), dot="vector_dot", pairs="x86_pairs",
    ),
    "x86_pairs": Form(
        "y", "kernels/tile_x86", 0, 4, packing.quad_tiles, "kernels/block_x86",
        needs=(VECTOR,), dot="vector_dot_pairs", ternary="x86_ternary",
    ),
    "x86_ternary": Form(
        "z", "kernels/tile_x86", 0, 16, packing.ternary_tiles, "kernels/block_x86",
        needs=(VECTOR,), dot="vector_dot_pairs", digits=4,
    ),
}  # fmt: skip


def form_of(b: Builder, x: ir.Value | None, weight: Int8) -> Form:
    """Return the target's form for x [..., K] times weights [K][N]."""
    form = FORMS[b.target.matmul.kernel]
    if not form.pairs:
        return form
    return FORMS[form.pairs] if pair_reach(_largest(b, x), weight) < 2**15 else form


def _largest(b: Builder, x: ir.Value | None) -> npt.NDArray[np.int32]:
    """Return the largest element of x, per channel or of all: a GELU's is below any byte's."""
    node = x.producer() if x is not None else None
    if node is None or (node.domain, node.op_type) != (DIALECT, "Gelu"):
        return np.array([UINT8.max], np.int32)
    source = node.inputs[0].producer() if node.inputs[0] is not None else None
    reads = UINT8
    if source is not None and (source.domain, source.op_type) == (DIALECT, "Linear"):
        reads = Interval.of(*(b.scalar(v) for v in source.inputs[4:6]))  # where it saturates
    constants = (Operand.of_constant(b.constant(v)) for v in node.inputs[1:])
    try:
        (proved,) = OPERATORS["Gelu"].prove(Operand(reads, ()), *constants)
    except RangeProofError:  # its input ends earlier, for a reason that is not seen here
        return np.array([UINT8.max], np.int32)
    return np.atleast_1d(proved.hi).astype(np.int32)


def most_rows(rows: int) -> int:
    """Return the rows of a block and those that are rather taken with it than alone.

    Few rows wait for the weights; more than half of a block multiply about as fast as a whole one.
    """
    return rows + rows // 2


def suffix_of(b: Builder, form: Form) -> str:
    """Return what tells kernels of this form from those of the target's own."""
    return "" if form is FORMS[b.target.matmul.kernel] else f"_{form.code or 'plain'}"


def tile_of(b: Builder, k: int, rows: Extent, form: Form) -> Tile:
    """Return the tile of a product along k for a number of rows.

    Args:
        b: the program under construction; its target chooses the block.
        k: length of the sums.
        rows: rows of x; a block is never higher than a static number of them.
        form: one of FORMS.
    """
    m = b.target.matmul
    height = form.rows or (min(m.rows, rows.coefficient) if rows.static else m.rows)
    suffix = f"{form.code}k{k}"
    parameters = {
        "dot": f"dot{height}x{m.columns}_{suffix}",
        "single": f"dot1x{m.columns}_{suffix}",
        "widen": form.needs[0].name if form.needs else "",
        "k": k,
        "stride": form.stride(k),
        "rows": height,
        "columns": m.columns,
        "tile": m.tile,
        "chunk": form.chunk,
        "step": form.step,
    }
    needs, scratch = form.needs, form.scratch
    whole = form.dot if form.digits == 1 and k % 4 == 0 and height == m.rows else ""
    if form.dot:
        needs = tuple(_any_block(form, m, k, r) for r in range(1, height + 1))
        above = range(height + 1, most_rows(height) + 1) if whole else ()
        tall = tuple(_tall_block(form, m, r) for r in above)
        parameters |= {
            "dots": [n.name for n in needs],
            "tall": {n.parameters["rows"]: n.name for n in tall},
            "most": f"{form.dot.upper()}_ROWS",
        }
        needs += tall
    elif form.block:
        needs = tuple(_block(form, m, k, r) for r in sorted({1, height}))
        parameters |= {
            "dot": needs[-1].name,
            "dot_row": needs[0].name,
            "span": form.span or m.columns,
        }
    kernel = Kernel(form.template, f"tile{height}x{m.tile}_{suffix}", parameters, needs, scratch)
    return Tile(kernel, height, form.stride(k), form.center, whole)


def _any_block(form: Form, m: Matmul, k: int, rows: int) -> Kernel:
    """Return the kernel `name(width, k, x, w, acc)` of some rows."""
    rest = k % form.step != 0
    name = f"dot{rows}x{m.tile}_{form.code}{'r' if rest else ''}"
    parameters = {
        "rows": rows,
        "tile": m.tile,
        "rest": rest,
        "dot": form.dot,
        "digits": form.digits,
    }
    return Kernel(form.block, name, parameters, form.needs)


def _tall_block(form: Form, m: Matmul, rows: int) -> Kernel:
    """Return the kernel `name(k, x, w, acc)` of more rows than registers hold for a whole panel."""
    name = f"dot{rows}x{m.tile}_{form.code}"
    parameters = {"rows": rows, "tile": m.tile, "dot": form.dot}
    return Kernel("kernels/block_tall", name, parameters, form.needs)


def _block(form: Form, m: Matmul, k: int, rows: int) -> Kernel:
    """Return the kernel `name(width, x, w, acc)` of a register block of some rows."""
    columns = form.span or m.columns
    name = f"dot{rows}x{columns}_{form.code}k{k}"
    parameters = {
        "k": k,
        "stride": form.stride(k),
        "rows": rows,
        "columns": columns,
        "tile": m.tile,
    }
    return Kernel(form.block, name, parameters, form.needs)


def packed_weight(b: Builder, weight: ir.Value | None, form: Form) -> View:
    """Return weights [K][N] in the order of a form."""
    assert weight is not None
    return packed(b, b.constant(weight), form, str(weight.name))


def packed(b: Builder, weight: Int8, form: Form, name: str) -> View:
    """Return constants [K][N] in the order of a form."""
    m, w = b.target.matmul, weight.T
    rows, columns = -w.shape[0] % m.columns, -w.shape[1] % form.step
    return b.flash_view(form.pack(np.pad(w, ((0, rows), (0, columns))), m), name)
