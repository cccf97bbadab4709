"""Kernel rules for row by row operators: Embedding, norms, rotary positions, pooling."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.backends.c.builder import Builder, unsupported
from intcc.backends.c.kernels_elementwise import pointwise
from intcc.backends.c.matmul import VECTOR
from intcc.backends.c.program import Argument, Kernel
from intcc.backends.c.shapes import product
from intcc.ops import rotary as positions
from intcc.ops import rows as norm

__all__ = ["SUMS", "embedding", "l2_normalize", "layer_norm", "mean_pool", "rms_norm", "rotary"]

_FACTOR = Kernel("kernels/row_factor", "row_factor")
SUMS = Kernel("kernels/vector_sums", "vector_sums", needs=(VECTOR,))


def embedding(b: Builder, node: ir.Node) -> None:
    """Emit y = table[ids] * mul[ids]."""
    ids, table, y = b.view(node.inputs[0]), b.view(node.inputs[1]), b.result(node.outputs[0])
    rows, columns = (e.coefficient for e in table.dims)
    b.require_below(ids, rows)
    mul, mul_argument = b.vector(b.constant(node.inputs[2]), "mul", f"{node.outputs[0].name}.mul")
    row_type = table.storage.c_type
    suffix = "" if row_type == "int8_t" else f"_{row_type.removesuffix('_t')}"
    parameters = {"columns": columns, "row_type": row_type, "mul": mul}
    kernel = Kernel("ops/embedding", f"embedding_c{columns}{suffix}_{mul.code}", parameters)
    arguments: list[Argument] = [ids.extent, ids, table, mul_argument, y]
    b.call(kernel, arguments, [y], note=f"[{ids.extent}, {columns}]")


def _normalize(b: Builder, node: ir.Node, template: str, what: str, gain_at: int) -> None:
    """Call a norm; its constants gain, lift, divisor, lower start at input `gain_at`."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    columns = x.columns.coefficient
    table = b.flash_view(norm.RSQRT_TABLE.astype(np.uint32), "reciprocal_roots", hot=True)
    eps, gain = b.scalar(node.inputs[1]), b.scalar(node.inputs[gain_at])
    shift = b.scalar(node.inputs[gain_at + 2]).bit_length() - 1
    parameters = {
        "columns": columns,
        "factor": _FACTOR.name,
        "row_bits": norm.ROW_BITS,
        "what": what,
        # Added in 32 bits before they are in 64: squares of 15 bits, inputs of 29 and a sign.
        "squares": 2 if b.target.word == 64 and columns % 2 == 0 else 1,
        "terms": 4 if b.target.word == 64 and columns % 4 == 0 else 1,
    }
    tail: list[Argument] = [eps, gain, shift, table]
    vectors = b.target.on_x86(f"ops/{template}")
    needs = (_FACTOR, *((SUMS,) if vectors else ()))
    name = f"{template}_c{columns}"
    pointwise(b, template, name, x, y, [x.rows], tail, parameters, needs=needs)


def layer_norm(b: Builder, node: ir.Node) -> None:
    """Emit y = 2**11 * (x - mean) / sqrt(var + eps)."""
    _normalize(b, node, "layer_norm", "", 6)


def rms_norm(b: Builder, node: ir.Node) -> None:
    """Emit y = 2**11 * x / sqrt(mean(x**2) + eps)."""
    what = "round(x[r] * 2^11 / sqrt(mean square + eps))"
    _normalize(b, node, "rms_norm", what, 3)


def l2_normalize(b: Builder, node: ir.Node) -> None:
    """Emit y = 2**20 * x / |x|."""
    _normalize(b, node, "l2_normalize", "round(x[r] * 2^20 / |x[r]|)", 3)


def rotary(b: Builder, node: ir.Node) -> None:
    """Emit the rotation of every head by its position."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    cos, sin = b.narrowed(node.inputs[1]), b.narrowed(node.inputs[2])
    heads, dim, half = (e.coefficient for e in (*x.dims[-2:], cos.columns))
    rows = product(x.dims[:-2])
    if cos.rows != rows or sin.rows != rows:
        raise unsupported(node, "has no table row of its own for each position")
    more = {
        "dim": dim,
        "half": half,
        "rest": 2 * half < dim,
        "largest": positions.LARGEST,
        "table": cos.storage.c_type,
    }
    assert cos.storage.dtype == sin.storage.dtype
    name = f"rotary_{dim}_r{2 * half}_{cos.storage.dtype.name}"
    pointwise(b, "rotary", name, x, y, [rows, heads], [cos, sin], more)


def mean_pool(b: Builder, node: ir.Node) -> None:
    """Emit y = mean over the tokens; in C every token is valid."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    columns = x.columns.coefficient
    kernel = Kernel("ops/mean_pool", f"mean_pool_c{columns}", {"columns": columns}, stack=128)
    b.call(kernel, [x.rows, x, y], [y], note=f"[{x.rows}, {columns}] -> [{columns}]")
