"""The rules of all operators, by their type in the integer graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from intcc.backends.tosa.graph import Tensor
from intcc.backends.tosa.ops import elementwise, linear
from intcc.backends.tosa.site import Site

__all__ = ["RULES", "Rule"]

#: Appends the operations of a node; returns its results in order.
Rule = Callable[[Site], list[Tensor]]

#: Operators of the dialect.
RULES: Mapping[str, Rule] = {**elementwise.RULES, **linear.RULES}
