"""State: what a model keeps from call to call, in memory that the caller owns.

A decoder's caches are inputs and outputs of the graph; in C they are written in place. A cache of H
heads of width D for T tokens is three arrays:

    keys        codes int8 [H][T][D], so that the product with a query runs along D
    values      codes int8 [H][D][T], so that the product with the weights runs along the tokens
    both        mantissa uint16 [H][T], exponent uint8 [H][T]

Machine forms may order codes otherwise. On x86, with T and D rounded up to whole groups,

    keys        codes + 128 as uint8 [H][T / 32][D / 4][32][4]: a vector holds words of many keys
    values      codes int8 [H][T / 4][D][4]: a vector holds words of four tokens, many columns
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from intcc.backends.c.program import Place, Program, Storage, View
from intcc.backends.c.shapes import Extent
from intcc.errors import UnsupportedOperatorError
from intcc.specs import PAST, TOTAL

__all__ = ["Cache", "StateRegion", "is_cache", "is_position", "make_cache", "plan_state"]

#: Offsets are enumerators, hence of type int.
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Cache:
    """The keys or the values of one layer.

    Attributes:
        heads: key heads.
        dim: width of a head.
        codes: all tokens, laid out as above, or as a machine form likes them.
        mantissa: one per head and token.
        exponent: one per head and token.
    """

    heads: int
    dim: int
    codes: View
    mantissa: View
    exponent: View

    @property
    def views(self) -> tuple[View, View, View]:
        """All three arrays."""
        return self.codes, self.mantissa, self.exponent


@dataclass(frozen=True)
class StateRegion:
    """Where a storage lies in the state."""

    storage: Storage
    offset: int
    size: int


def _has(value: ir.Value, name: str) -> bool:
    return value.shape is not None and any(
        not isinstance(d, int) and str(d.value) == name for d in value.shape
    )


def is_cache(value: ir.Value) -> bool:
    """Tell whether a value is a cache, before or after a call."""
    return _has(value, PAST) or _has(value, TOTAL)


def is_position(value: ir.Value | None) -> bool:
    """Tell whether a value is the number of tokens of earlier calls: the extent of a cache."""
    node = value.producer() if value is not None else None
    if node is None:
        return False
    source = node.inputs[0]
    if source is not None and node.op_type in ("Squeeze", "Unsqueeze", "Reshape", "Identity"):
        return is_position(source)
    if source is None or node.op_type != "Shape" or source.shape is None:
        return False
    dims = list(source.shape)
    cut = dims[node.attributes.get_int("start", 0) : node.attributes.get_int("end", len(dims))]
    return [str(getattr(d, "value", d)) for d in cut] == [PAST]


def make_cache(
    program: Program,
    name: str,
    layer: str,
    heads: int,
    dim: int,
    tokens: int,
    width: int,
    codes: type,
) -> Cache:
    """Add the arrays of one cache to the state.

    Args:
        program: whose state it is.
        name: of the arrays.
        layer: for the size tables.
        heads: key heads.
        dim: width of a head.
        tokens: for which there is room: the context, or more.
        width: codes of a token and head: dim, or more.
        codes: their type.
    """
    views = []
    for stem, dtype, extents in (
        ("codes", codes, (heads, tokens, width)),
        ("mantissa", np.uint16, (heads, tokens)),
        ("exponent", np.uint8, (heads, tokens)),
    ):
        dims = tuple(map(Extent, extents))
        extent = Extent(int(np.prod(extents)))
        storage = Storage(f"{name}_{stem}", np.dtype(dtype), extent, Place.STATE, layer=layer)
        program.state.append(storage)
        views.append(View(storage, dims))
    return Cache(heads, dim, *views)


def plan_state(program: Program) -> tuple[list[StateRegion], int]:
    """Return the regions of the state, and its size.

    Raises:
        UnsupportedOperatorError: offsets that C's enumerators cannot hold.
    """
    regions, offset = [], 0
    for storage in program.state:
        size = program.aligned(storage.bytes_at(1))
        regions.append(StateRegion(storage, offset, size))
        offset += size
    if offset > _LARGEST:
        raise UnsupportedOperatorError(
            f"A state of {offset} bytes",
            f"is above the {_LARGEST} that C's offsets reach",
            "Choose a shorter --context",
        )
    return regions, offset
