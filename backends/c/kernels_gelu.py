"""Kernel rules for GELU: a table where one serves all channels, else the polynomial itself.

Where bytes are compared by the vector, the polynomial becomes the few steps that it takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.c.builder import Builder, unsupported
from intcc.backends.c.divide import division
from intcc.backends.c.kernels_linear import Epilogue
from intcc.backends.c.matmul import VECTOR, most_rows
from intcc.backends.c.program import Kernel
from intcc.ops import OPERATORS
from intcc.ops.gelu import delta, dividend

__all__ = ["epilogue", "gelu", "steps", "tile_epilogue"]

Array = npt.NDArray[Any]

_POINT = Kernel("kernels/gelu_point", "gelu_point")


#: Most steps that are worth their comparisons.
_STEPS = 16


def steps(knee: Array, lift: Array, divisor: Array) -> Array | None:
    """Return the parts of b = 0 ... knee in which delta reaches 1, 2 and so on, per channel.

    Args:
        knee: [channels].
        lift: [channels].
        divisor: [channels].

    Returns:
        uint8 [2 * levels][channels]: where a part starts and what its last b exceeds that by. An
        empty part starts at 255, which no b reaches. None where a delta has too many levels.
    """
    b = np.arange(knee.max(initial=0) + 1)[:, None]
    bends = np.where(b <= knee, delta(b, knee, lift, divisor), 0)
    if bends.max() > _STEPS:
        return None
    rows = []
    for level in range(1, int(bends.max()) + 1):
        inside = bends >= level
        count, first = inside.sum(0), inside.argmax(0)
        last = first + np.maximum(count, 1) - 1
        assert (inside[last, np.arange(len(last))] | (count == 0)).all(), "delta has one peak"
        rows += [np.where(count > 0, first, 255), last - first]
    return np.asarray(rows, np.uint8).reshape(len(rows), len(knee))


def _constants(b: Builder, node: ir.Node) -> tuple[list[Array], int]:
    """Return knee, lift, divisor, factor and zero, and the number of channels."""
    constants = [b.constant(v) for v in node.inputs[1:6]]
    return constants, max(c.size for c in constants)


def tile_epilogue(b: Builder, node: ir.Node, index: str) -> Epilogue:
    """Return the form of a Gelu node behind a product, whose tiles may be taken whole."""
    stem = str(node.outputs[0].name)
    constants, channels = _constants(b, node)
    if not b.target.gelu_steps or channels == 1:
        return epilogue(b, node, index)
    each = [np.broadcast_to(c.reshape(-1), (channels,)).astype(np.int64) for c in constants]
    knee, lift, divisor, factor, zero = each
    made = steps(knee, lift, divisor)
    if made is None or not made.size:
        return epilogue(b, node, index)
    tile, levels = b.target.matmul.tile, len(made) // 2
    most = most_rows(b.target.matmul.rows)
    name = f"gelu_steps_{channels}_{levels}"
    parameters = {
        "columns": channels,
        "levels": levels,
        "rows": most,
        "tile": tile,
    }
    # What belongs to the columns of one tile lies together.
    rows = np.stack([knee, factor, zero, *made]).astype(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, -channels % tile)))
    curve = rows.reshape(len(rows), -1, tile).swapaxes(0, 1)
    return Epilogue(
        f"_{name}",
        "const uint8_t *restrict curve, ",
        "(uint8_t)t",
        [b.flash_view(curve, f"{stem}.curve", hot=True)],
        (Kernel("kernels/gelu_steps", name, parameters, (VECTOR,), tile * most),),
        name,
        len(rows),
    )


def epilogue(b: Builder, node: ir.Node, index: str) -> Epilogue:
    """Return the form of a Gelu node for channel `index`."""
    stem = str(node.outputs[0].name)
    constants, channels = _constants(b, node)
    knee, lift, divisor, factor, zero = constants
    if b.target.gelu_table and channels == 1:
        x = np.arange(256, dtype=np.uint8).reshape(256, 1)
        table = OPERATORS["Gelu"].evaluate(x, *constants)[0].reshape(256)
        view = b.flash_view(table, f"{stem}.table", hot=True)
        return Epilogue("_lut", "const uint8_t *restrict table, ", "table[t]", [view], ())
    k, add, d = (
        np.broadcast_to(c.reshape(-1), (channels,)).astype(np.int64) for c in (knee, lift, divisor)
    )
    b_all = np.arange(k.max() + 1)[:, None]
    largest = np.where(b_all <= k, dividend(b_all, k, add, d), 0).max(0)
    inverse = division(d, largest)
    assert inverse.mul is not None or isinstance(inverse.shift, int)
    mul = np.ones(1, np.uint32) if inverse.mul is None else inverse.mul
    parameters = [
        b.vector(knee, "knee", f"{stem}.knee", np.uint8),
        b.vector(lift, "lift", f"{stem}.lift", np.int16),
        b.vector(divisor // 2, "half", f"{stem}.half"),
        b.vector(mul, "gelu_mul", f"{stem}.inverse", np.uint32),
        b.vector(np.asarray(inverse.shift), "gelu_shift", f"{stem}.shift", np.uint8),
        b.vector(factor, "factor", f"{stem}.factor", np.uint8),
        b.vector(zero, "zero", f"{stem}.zero", np.uint8),
    ]
    vectors = [vector for vector, _ in parameters]
    return Epilogue(
        f"_gelu_{''.join(v.code for v in vectors)}",
        "".join(f"{v.declaration}, " for v in vectors),
        f"gelu_point(t, {', '.join(v.at(index) for v in vectors)})",
        [argument for _, argument in parameters],
        (_POINT,),
    )


def gelu(b: Builder, node: ir.Node) -> None:
    """Gelu by itself."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    e = epilogue(b, node, "j")
    if not x.columns.static:
        raise unsupported(node, "has rows of variable length")
    parameters = {"columns": str(x.columns), "extra": e.declarations, "expression": e.expression}
    kernel = Kernel("ops/gelu", f"gelu_c{x.columns}{e.code}", parameters, e.needs)
    b.call(kernel, [x.rows, x, *e.arguments, y], [y], note=f"[{x.rows}, {x.columns}]")
