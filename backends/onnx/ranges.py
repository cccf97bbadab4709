"""Integer ranges of the values of a flat graph, as far as element-wise operators tell.

Only used to choose cheaper equal forms; the proof that nothing overflows belongs to the dialect
(`prove_ranges`). A result that might wrap gets the whole range of its type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

__all__ = ["Range", "fits", "hull", "value_ranges"]

#: Smallest and largest value.
Range = tuple[int, int]

_LARGEST_CONSTANT = 2**22
_MOVES = {
    "Reshape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Slice",
    "Expand",
    "Split",
    "Gather",
}


def hull(numbers: npt.NDArray[Any]) -> Range:
    """Return the smallest and the largest of some numbers."""
    return int(numbers.min()), int(numbers.max())


def fits(limits: Range) -> bool:
    """Tell whether int32 holds all numbers from a smallest to a largest one."""
    return limits[0] >= -(2**31) and limits[1] < 2**31


def _of_type(value: ir.Value) -> Range | None:
    if value.dtype is None or not value.dtype.is_integer():
        return (0, 1) if value.dtype == ir.DataType.BOOL else None
    info = np.iinfo(value.dtype.numpy())
    return int(info.min), int(info.max)


def value_ranges(
    graph: ir.Graph, proved: Mapping[str, Range] = MappingProxyType({})
) -> dict[ir.Value, Range]:
    """Return the range of every integer value whose type is known; the graph is sorted.

    Args:
        graph: flat.
        proved: ranges of values by name, from the proof of the dialect.
    """
    ranges: dict[ir.Value, Range] = {}
    for value in graph.initializers.values():
        known = _of_type(value)
        constant = value.const_value
        if known is not None and constant is not None and 0 < constant.size <= _LARGEST_CONSTANT:
            array = constant.numpy()
            known = int(array.min()), int(array.max())
        if known is not None:
            ranges[value] = known
    for value in graph.inputs:
        known = _of_type(value)
        if known is not None:
            ranges[value] = proved.get(str(value.name), known)
    for node in graph:
        result = _result(node, ranges)
        for value in node.outputs:
            limits = _of_type(value)
            if limits is None:
                continue
            fits = result is not None and limits[0] <= result[0] and result[1] <= limits[1]
            lo, hi = result if fits and result is not None else limits
            known = proved.get(str(value.name), (lo, hi))
            ranges[value] = max(lo, known[0]), min(hi, known[1])
    return ranges


def _result(node: ir.Node, ranges: dict[ir.Value, Range]) -> Range | None:
    """Return the range of a node's result in unbounded integers, None where unknown."""
    known = [ranges.get(v) for v in node.inputs if v is not None]
    if not known or known[0] is None:
        return None
    kind, x = node.op_type, known[0]
    if kind in _MOVES or kind in ("Cast", "ReduceMax", "ReduceMin"):
        return x
    if kind == "MatMulInteger":
        return _product(node, ranges)
    if kind == "Abs":
        return 0 if x[0] <= 0 <= x[1] else min(map(abs, x)), max(map(abs, x))
    if any(r is None for r in known):
        return None
    operands = [r for r in known if r is not None]
    if kind == "Sub" and _is_largest_of(node.inputs[0], node.inputs[1]):
        return 0, max(0, x[1] - operands[1][0])
    if kind == "Clip" and len(operands) == 3:
        lo, hi = operands[1], operands[2]
        return _both(min, _both(max, x, lo), hi)
    if kind in ("Min", "Max"):
        result = x
        for other in operands[1:]:
            result = _both(min if kind == "Min" else max, result, other)
        return result
    return _arithmetic(kind, x, operands[1]) if len(operands) == 2 else None


def _both(choose: object, a: Range, b: Range) -> Range:
    pick = min if choose is min else max
    return pick(a[0], b[0]), pick(a[1], b[1])


def _arithmetic(kind: str, x: Range, y: Range) -> Range | None:
    if kind == "Add":
        return x[0] + y[0], x[1] + y[1]
    if kind == "Sub":
        return x[0] - y[1], x[1] - y[0]
    if kind == "Mul":
        return _ends(a * b for a in x for b in y)
    if kind == "Div" and y[0] > 0:
        return _ends(abs(a) // b * (1 if a >= 0 else -1) for a in x for b in y)
    return None


def _product(node: ir.Node, ranges: dict[ir.Value, Range]) -> Range | None:
    """Bound a sum of products of 8-bit numbers by its length."""
    a, b = node.inputs[:2]
    assert a is not None and b is not None
    length = b.shape[-2 if len(b.shape) > 1 else 0] if b.shape is not None else None
    if not isinstance(length, int) or len(node.inputs) > 3:
        return None
    left = ranges[a]
    if len(node.inputs) == 3:
        zero = ranges[node.inputs[2]] if node.inputs[2] is not None else (0, 0)
        left = left[0] - zero[1], left[1] - zero[0]
    term = _ends(x * y for x in left for y in ranges[b])
    return min(0, term[0]) * length, max(0, term[1]) * length


def _ends(candidates: Iterable[int]) -> Range:
    numbers = list(candidates)
    return min(numbers), max(numbers)


def _is_largest_of(top: ir.Value | None, x: ir.Value | None) -> bool:
    """Tell whether `top` is ReduceMax of `x`: then top - x is never negative."""
    producer = top.producer() if top is not None else None
    return producer is not None and producer.op_type == "ReduceMax" and producer.inputs[0] is x
