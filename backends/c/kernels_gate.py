"""Kernel rules for the exponential family: Softmax, Sigmoid, Tanh, Silu, GeluWide."""

from __future__ import annotations

import onnx_ir as ir

from intcc.backends.c.builder import Builder
from intcc.backends.c.kernels_elementwise import pointwise
from intcc.backends.c.program import Kernel
from intcc.backends.c.words import HALVES
from intcc.ops.gelu_wide import REACH

__all__ = ["HYPERBOLIC", "POWER", "POWERS", "gelu_wide", "sigmoid", "silu", "softmax", "tanh"]

POWER = Kernel("kernels/power_of_half", "power_of_half")
_EXPONENTIAL = Kernel("kernels/exponential", "exponential", needs=(POWER,))
LOGISTIC = Kernel("kernels/logistic", "logistic", needs=(_EXPONENTIAL,))
HYPERBOLIC = Kernel("kernels/hyperbolic", "hyperbolic", needs=(LOGISTIC,))
_GATE = Kernel("kernels/gate", "gate", needs=(LOGISTIC,))
#: The same of vectors on x86.
POWERS = Kernel("kernels/vector_powers", "vector_powers", needs=(HALVES,))
_CURVES = Kernel("kernels/vector_curve", "vector_curve", needs=(HALVES,))


def _curve(b: Builder, node: ir.Node, template: str, *needs: Kernel) -> None:
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    mul, shift = b.scalar(node.inputs[1]), b.scalar(node.inputs[2])
    # C's library owns the plain names of some curves.
    name = f"{template}_values"
    pointwise(b, template, name, x, y, [x.extent], [mul, shift], needs=needs)


def sigmoid(b: Builder, node: ir.Node) -> None:
    """Emit y = 1 / (1 + e**-x), Q15."""
    _curve(b, node, "sigmoid", _GATE)


def silu(b: Builder, node: ir.Node) -> None:
    """Emit y = x / (1 + e**-x)."""
    vectors = b.target.on_x86("ops/silu")
    _curve(b, node, "silu", _GATE, *((_CURVES,) if vectors else ()))


def gelu_wide(b: Builder, node: ir.Node) -> None:
    """Emit GELU in the unit of x."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    constants = [b.scalar(v) for v in node.inputs[1:6]]
    more = {"reach": REACH}
    pointwise(b, "gelu_wide", "gelu_wide", x, y, [x.extent], constants, more, needs=(_GATE,))


def tanh(b: Builder, node: ir.Node) -> None:
    """Emit the hyperbolic tangent, Q15."""
    _curve(b, node, "tanh", HYPERBOLIC)


def softmax(b: Builder, node: ir.Node) -> None:
    """Emit the softmax of every row, Q15."""
    x, y = b.view(node.inputs[0]), b.result(node.outputs[0])
    mul, shift = b.scalar(node.inputs[1]), b.scalar(node.inputs[2])
    more: dict[str, int | None] = {}
    name = "softmax"
    if "ops/softmax" in b.target.kernels:
        more = _upper_word(mul, shift)
        name += "_{lift}_{left}_{right}".format_map(more)
    head, tail = [x.rows, x.columns], [mul, shift]
    pointwise(b, "softmax", name, x, y, head, tail, more, needs=(_EXPONENTIAL,))


def _upper_word(mul: int, shift: int) -> dict[str, int | None]:
    """Return how d * mul >> shift, rounded, is the upper word of a product of signed words.

    With `lift`, `left` and `right` from here,

        (d * mul + 2**(shift - 1)) >> shift
            == ((d << left) * (mul << lift) + 2**(31 + right)) >> (32 + right)

    where mul << lift stays below 2**31. Where `left` is not zero, the lifted mul is 2**30 or more,
    and whatever saturates in d << left has an exponent past the largest that matters.

    Args:
        mul: 0 <= mul < 2**31.
        shift: 1 <= shift <= 62.

    Returns:
        lift, left and right; left is None where d << left has no bits to stay in.
    """
    lift = max(0, min(32 - shift, 31 - mul.bit_length()))
    left = max(0, 32 - shift - lift)
    return {"lift": lift, "left": left if left <= 30 else None, "right": max(0, shift - 32)}
