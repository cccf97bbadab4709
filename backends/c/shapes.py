"""Extents in C: how many elements a value has, as a function of the token count.

A compiled model runs one sequence of n tokens, so every extent is a monomial

    coefficient * n ** power          batch -> 1, sequence -> n

and all products and quotients of extents that occur are monomials again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from intcc.errors import UnsupportedOperatorError

__all__ = ["ONE", "TOKENS", "Extent", "dimensions", "product"]

#: Name of the token count in generated C.
TOKENS = "n"


@dataclass(frozen=True)
class Extent:
    """coefficient * n ** power."""

    coefficient: int = 1
    power: int = 0

    def __mul__(self, other: Extent | int) -> Extent:
        """Product."""
        o = other if isinstance(other, Extent) else Extent(other)
        return Extent(self.coefficient * o.coefficient, self.power + o.power)

    def __floordiv__(self, other: Extent) -> Extent:
        """Exact quotient; an AssertionError where it is none."""
        assert self.coefficient % other.coefficient == 0 and self.power >= other.power
        return Extent(self.coefficient // other.coefficient, self.power - other.power)

    @property
    def static(self) -> bool:
        """Whether the token count does not matter."""
        return self.power == 0

    def at(self, tokens: int) -> int:
        """Value for a given token count."""
        return int(self.coefficient * tokens**self.power)

    def __str__(self) -> str:
        """C expression."""
        factors = [TOKENS] * self.power
        if self.coefficient != 1 or not factors:
            factors.append(str(self.coefficient))
        return " * ".join(factors)


ONE = Extent()


def product(extents: Iterable[Extent]) -> Extent:
    """Product of extents."""
    return math.prod(extents, start=ONE)


def dimensions(value: ir.Value) -> tuple[Extent, ...]:
    """Return the extents of a value.

    Raises:
        UnsupportedOperatorError: a dimension is neither a number, "batch" nor "sequence".
    """
    if value.shape is None:
        raise _unknown(value, "has no known shape")
    extents = []
    for dimension in value.shape:
        if isinstance(dimension, int):
            extents.append(Extent(dimension))
        elif str(dimension.value) == "batch":
            extents.append(ONE)
        elif str(dimension.value) == "sequence":
            extents.append(Extent(1, 1))
        else:
            raise _unknown(value, f"has the dimension {dimension.value!r}")
    return tuple(extents)


def _unknown(value: ir.Value, fact: str) -> UnsupportedOperatorError:
    return UnsupportedOperatorError(
        f"Value {value.name!r}",
        f"{fact}, so no C array can hold it",
        'Name the dimensions "batch" and "sequence", or make them fixed',
    )
