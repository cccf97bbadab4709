"""The rules of all operators, by their type in the integer graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from intcc.backends.tosa.graph import Tensor
from intcc.backends.tosa.ops import (
    attention,
    cached,
    convolution,
    elementwise,
    embedding,
    gates,
    gelu,
    linear,
    rotary,
    rows,
)
from intcc.backends.tosa.site import Site

__all__ = ["RULES", "Rule"]

#: Appends the operations of a node; returns its results in order.
Rule = Callable[[Site], list[Tensor]]

#: Operators of the dialect.
RULES: Mapping[str, Rule] = {
    **attention.RULES,
    **cached.RULES,
    **convolution.RULES,
    **elementwise.RULES,
    **embedding.RULES,
    **gates.RULES,
    **gelu.RULES,
    **linear.RULES,
    **rotary.RULES,
    **rows.RULES,
}
