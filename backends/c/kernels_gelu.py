"""Kernel rules for GELU: a table where one serves all channels, else the polynomial itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from intcc.backends.c.builder import Builder, unsupported
from intcc.backends.c.divide import division
from intcc.backends.c.program import Argument, Kernel
from intcc.ops import OPERATORS

__all__ = ["Epilogue", "epilogue", "gelu"]

_POINT = Kernel("kernels/gelu_point", "gelu_point")


@dataclass(frozen=True)
class Epilogue:
    """What a kernel needs in order to apply GELU to its element t.

    Attributes:
        code: for the kernel's name.
        declarations: parameters, each followed by a comma.
        expression: the result of t.
        arguments: for the parameters.
        needs: kernels called.
    """

    code: str
    declarations: str
    expression: str
    arguments: list[Argument]
    needs: tuple[Kernel, ...]


def epilogue(b: Builder, node: ir.Node, index: str) -> Epilogue:
    """Return the form of a Gelu node for channel `index`."""
    stem = str(node.outputs[0].name)
    constants = [b.constant(v) for v in node.inputs[1:4]]
    if b.target.gelu_table and all(c.size == 1 for c in constants):
        x = np.arange(256, dtype=np.uint8).reshape(256, 1)
        table = OPERATORS["Gelu"].evaluate(x, *constants)[0].reshape(256)
        view = b.flash_view(table, f"{stem}.table", hot=True)
        return Epilogue("_lut", "const uint8_t *restrict table, ", "table[t]", [view], ())
    knee, divisor, offset = constants
    channels = max(c.size for c in constants)
    d = np.broadcast_to(divisor.reshape(-1), (channels,)).astype(np.int64)
    k = np.broadcast_to(knee.reshape(-1), (channels,)).astype(np.int64)
    # a * b**3 with a + b = knee is largest at a = knee / 4; every integer b is tried.
    b_all = np.arange(128)[:, None]
    largest = (np.maximum(k - b_all, 0) * b_all**3).max(0)
    inverse = division(d, largest + d // 2)
    assert inverse.mul is not None or isinstance(inverse.shift, int)
    mul = np.ones(1, np.uint32) if inverse.mul is None else inverse.mul
    parameters = [
        b.vector(knee, "knee", f"{stem}.knee", np.uint8),
        b.vector(divisor // 2, "half", f"{stem}.half"),
        b.vector(mul, "gelu_mul", f"{stem}.inverse", np.uint32),
        b.vector(np.asarray(inverse.shift), "gelu_shift", f"{stem}.shift", np.uint8),
        b.vector(offset, "offset", f"{stem}.offset", np.uint8),
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
