"""Quotients of products: clip((x @ weight + b) / d, lo, hi), as layers with fixed scales end.

A whole number s that is added to the quotient becomes s * d within b. The division truncates, so
that this is right for dividends from zero on; those below zero give at most `lo` before and after,
as 0 <= lo, and what reads the quotient makes no difference between such numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.onnx.clean import initializer
from intcc.backends.onnx.ranges import Range, fits, hull

__all__ = ["Quotient", "made_by", "match_quotient", "numbers"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Quotient:
    """A clipped quotient.

    Attributes:
        add: acc + b.
        clip: of the quotient.
        bias, divisor: b and d of each channel.
        least, most: smallest and largest acc + b of each channel.
        lo, hi: limits, 0 <= lo <= hi.
    """

    add: ir.Node
    clip: ir.Node
    bias: Array
    divisor: Array
    least: Array
    most: Array
    lo: int
    hi: int

    def shift(self, graph: ir.Graph, by: Array | int) -> bool:
        """Add whole numbers to the quotient before it is clipped; tell whether 32 bits hold it."""
        moved = self.bias + by * self.divisor
        added = moved - self.bias
        if not all(fits(hull(v)) for v in (moved, self.least + added, self.most + added)):
            return False
        name = f"{self.add.outputs[0].name}_shifted"
        self.add.replace_input_with(1, initializer(graph, name, moved.astype(np.int32)))
        return True


def match_quotient(clip: ir.Node | None, ranges: Mapping[ir.Value, Range]) -> Quotient | None:
    """Return what a Clip limits, None where that is no quotient of a product or has other readers.

    Args:
        clip: the node.
        ranges: of all values, from `value_ranges`.
    """
    divide = made_by(clip.inputs[0], "Div") if clip is not None else None
    add = made_by(divide.inputs[0], "Add") if divide is not None else None
    product = made_by(add.inputs[0], "MatMulInteger") if add is not None else None
    if clip is None or divide is None or add is None or product is None or len(clip.inputs) != 3:
        return None
    reach = _reach(product, ranges)
    known = [numbers(v) for v in (add.inputs[1], divide.inputs[1], *clip.inputs[1:])]
    if reach is None or any(c is None for c in known):
        return None
    bias, divisor, lo, hi = (np.broadcast_to(c, reach[0].shape) for c in known if c is not None)
    least, most = reach[0] + bias, reach[1] + bias
    if divisor.min() < 1 or not 0 <= lo[0] <= hi[0] or not (fits(hull(least)) and fits(hull(most))):
        return None
    return Quotient(add, clip, bias, divisor, least, most, int(lo[0]), int(hi[0]))


def numbers(value: ir.Value | None) -> Array | None:
    """Return a constant of 32 bits, one number or one for each channel, in 64 bits."""
    if value is None or value.const_value is None or value.dtype != ir.DataType.INT32:
        return None
    array = value.const_value.numpy()
    return array.astype(np.int64) if array.ndim <= 1 else None


def made_by(value: ir.Value | None, kind: str) -> ir.Node | None:
    """Return the standard node of that type that makes a value for one reader; Shape is none."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type != kind or node.domain or node.outputs[0].is_graph_output():
        return None
    readers = [use for use in node.outputs[0].uses() if use.node.op_type != "Shape"]
    return node if len(readers) == 1 else None


def _reach(product: ir.Node, ranges: Mapping[ir.Value, Range]) -> tuple[Array, Array] | None:
    """Return the smallest and the largest sum of each channel."""
    x, weight = product.inputs[:2]
    if len(product.inputs) > 2 or x is None or weight is None or weight.const_value is None:
        return None
    w = weight.const_value.numpy()
    if w.ndim != 2 or x not in ranges:
        return None
    positive = np.maximum(w, 0).sum(0, dtype=np.int64)
    negative = np.minimum(w, 0).sum(0, dtype=np.int64)
    low, high = ranges[x]
    return low * positive + high * negative, high * positive + low * negative
