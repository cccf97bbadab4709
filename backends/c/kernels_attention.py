"""Kernel rule for Attention: all heads of one layer in one call."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from intcc.backends.c.builder import Builder, unsupported
from intcc.backends.c.divide import division, scaling
from intcc.backends.c.kernels_linear import quotient
from intcc.backends.c.pairs import PAIR, pair_for
from intcc.backends.c.program import Argument, Kernel, View
from intcc.backends.c.shapes import Extent
from intcc.backends.c.words import words
from intcc.ops.attention import numerators

__all__ = ["attention"]

#: Keys are processed in multiples of this: a 256-bit register of int16.
_LANES = 16
#: 16-bit products that may be added before they are widened.
_GROUP = 4
#: The form for x86: rows of its blocks, and what keys and the columns of values are padded to.
_X86, _X86_ROWS, _X86_LANES, _X86_COLUMNS = "ops/attention_x86", 8, 32, 16
#: Sums of numerators from here on have reciprocals that are shifted by 32 or more.
_LONG = 2897


def attention(b: Builder, node: ir.Node) -> None:
    """Emit o = softmax(q k^T + bias) v; the key mask is always open in C."""
    q, k, v = (b.view(x) for x in node.inputs[:3])
    if q.rows != k.rows:
        raise unsupported(node, "has other keys than queries")
    heads, dim = (int(n) for n in b.constant(node.inputs[4])[2:4])
    half, cap, up, down, c0, c1, c2, rounding, shift = (b.scalar(x) for x in node.inputs[6:15])
    x86 = b.target.kernels.get("ops/attention") == _X86
    rows, lanes = (_X86_ROWS, _X86_LANES) if x86 else (b.target.matmul.rows, _LANES)
    padded = -(-dim // 4) * 4
    columns = -(-dim // _X86_COLUMNS) * _X86_COLUMNS if x86 else padded
    largest = int(numerators(np.array([0]), up, down, (c0, c1, c2), rounding, shift)[0])
    assert max(cap * up // down, c2) < 2**15, "a step of the grid is h8 nats"
    up, down = scaling(up, down, cap) or (up, down)
    bias_declaration, bias_arguments = _bias(b, node)
    kind = f"{heads}x{dim}_s{shift}"
    grid = division(np.asarray(down), np.asarray(cap * up))
    by = quotient(b, grid, f"{node.outputs[0].name}.grid", "0")
    kind = f"{kind}_{by.code}"
    ranges, span = b.ranged(heads, 1)
    parameters = {
        **ranges,
        "heads": heads,
        "dim": dim,
        "width": heads * dim,
        "padded": padded,
        "columns": columns,
        "rows": rows,
        "lanes": lanes,
        "groups": [list(range(d, min(d + _GROUP, dim))) for d in range(0, dim, _GROUP)],
        "shift": shift,
        "rounding": rounding,
        "divisor": by.declaration,
        "divisor_names": ", ".join(w.split()[-1] for w in by.declaration.split(", ")),
        "x": "(uint32_t)"
        + (by.expression.removeprefix("(int32_t)") if by.mul else f"({by.expression})"),
        # For machine forms, which take several scores at a time.
        "mul": by.mul is not None,
        "narrow": grid.narrow,
        "pair": PAIR.name,
        "bias": bias_declaration,
        "scores": f"scores_{kind}{'_b' if bias_declaration else ''}",
        "softmax": f"softmax_{kind}{'_b' if bias_declaration else ''}",
        "context": f"context_{kind}{'_b' if bias_declaration else ''}",
        "starts": f"starts_{kind}{'_b' if bias_declaration else ''}",
        "long": largest >= _LONG,
    }
    blocks = _blocks(parameters) if x86 else ()
    stack = rows * (4 * (columns + 1) + (padded if x86 else 0)) + 2 * dim
    name = f"attention_{kind}{'_biased' if bias_declaration else ''}"
    needs = (*by.needs, *pair_for(b, "ops/attention", PAIR), *blocks)
    kernel = Kernel("ops/attention", name, parameters, needs, stack)
    y = b.result(node.outputs[0])
    most = q.rows.at(max(b.program.max_tokens, 1))
    lanes = -(-most // lanes) * lanes
    arrays = [
        ("keys", "int8" if x86 else "int16", padded * lanes),
        ("values", "int16", columns * lanes),
        *([("initial", "int32", lanes)] if x86 else []),
        ("score", "int32", (rows if x86 else 1) * lanes),
        ("e", "int16", rows * lanes),
    ]
    scratch = [
        b.storage(f"{node.outputs[0].name}.{what}", dtype, Extent(count), scratch=True)
        for what, dtype, count in arrays
    ]
    arguments: list[Argument] = [
        *span,
        q.rows,
        q,
        k,
        v,
        *bias_arguments,
        half,
        cap,
        up,
        *by.arguments,
        f"{c0}u",
        f"{c1}u",
        f"{c2}u",
        *(View(s, (s.extent,)) for s in scratch),
        y,
    ]
    b.call(
        kernel,
        arguments,
        [y],
        note=f"[{q.rows}, {heads} x {dim}]",
        macs=q.rows * q.rows * (2 * heads * dim),
        scratch=scratch,
    )


def _blocks(parameters: dict[str, Any]) -> tuple[Kernel, ...]:
    """Return the products of eight rows with keys and with values, and name them."""
    rows, columns = parameters["rows"], parameters["columns"]
    scores = words(f"scores_of_{rows}", rows, 32, start=True)
    context = words(f"contexts_of_{rows}", rows, columns, halves=True)
    parameters["scores"], parameters["context"] = scores.name, context.name
    return scores, context


def _bias(b: Builder, node: ir.Node) -> tuple[str, list[Argument]]:
    """Return declaration and arguments of a position bias; empty where there is none."""
    addend = node.inputs[3]
    assert addend is not None
    if b.is_zero(addend):
        return "", []
    view, head_step, row_step = b.score_table(addend)
    declared = "const int32_t *restrict bias, size_t bias_head, size_t bias_row, "
    return declared, [view, head_step, row_step]
