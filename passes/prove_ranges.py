"""Prove ranges: recompute the interval of every value from the finished graph alone.

Lowering proves each node while it is made. This pass forgets that and walks the graph that is
shipped, so an artifact can be proved again years later, from its own constants.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.errors import RangeProofError
from intcc.interval import INT32, INT64, UINT8, Interval, Operand, require_fits
from intcc.ops import OPERATORS

__all__ = ["extents", "prove_ranges"]

_TYPES = {
    ir.DataType.UINT8: UINT8,
    ir.DataType.INT8: Interval.of(-128, 127),
    ir.DataType.INT16: Interval.of(-(2**15), 2**15 - 1),
    ir.DataType.INT32: INT32,
    ir.DataType.UINT32: Interval.of(0, 2**32 - 1),
    ir.DataType.INT64: INT64,
    ir.DataType.BOOL: Interval.of(0, 1),
}


def extents(value: ir.Value, max_length: int) -> tuple[int, ...]:
    """Return the largest extent of each dimension of a value."""
    shape = value.shape if value.shape is not None else ir.Shape([])
    return tuple(
        d if isinstance(d, int) else (1 if str(d) == "batch" else max_length) for d in shape
    )


def prove_ranges(model: ir.Model) -> dict[str, Interval]:
    """Return the interval of every value by name.

    The inputs' intervals are read from metadata "intcc.range" ("lo hi"), which compilation
    writes and which the runtimes enforce.

    Raises:
        RangeProofError: an operator's constraint or a type's limit cannot be proved.
    """
    max_length = int(model.metadata_props["intcc.max_positions"])
    known: dict[str, Operand] = {}
    for value in model.graph.inputs:
        lo, hi = value.metadata_props["intcc.range"].split()
        known[str(value.name)] = Operand(Interval.of(int(lo), int(hi)), extents(value, max_length))
    for name, value in model.graph.initializers.items():
        assert value.const_value is not None
        known[name] = Operand.of_constant(np.asarray(value.const_value.numpy()))
    for node in model.graph:
        inputs = [known[str(v.name)] for v in node.inputs if v is not None]
        if node.domain == "ai.intcc":
            attributes = {a.name: a.value for a in node.attributes.values()}
            proved = OPERATORS[node.op_type].prove(*inputs, **attributes)
        else:
            proved = tuple(_moved(node, inputs) for _ in node.outputs)
        for value, interval in zip(node.outputs, proved, strict=True):
            assert value.dtype is not None
            require_fits(interval, _TYPES[value.dtype], f"Value {value.name!r}")
            known[str(value.name)] = Operand(interval, extents(value, max_length))
    return {name: operand.interval for name, operand in known.items()}


def _moved(node: ir.Node, inputs: list[Operand]) -> Interval:
    """Interval of moved elements: the hull of what is moved."""
    if node.op_type in ("Shape", "ArgMax"):
        return Interval.of(0, 2**31 - 1)
    hull = inputs[0].interval.scalar()
    if node.op_type == "Add":
        return hull + inputs[1].interval.scalar()
    if node.op_type == "Concat":
        for other in inputs[1:]:
            hull = hull.hull(other.interval.scalar())
    if not node.outputs:
        raise RangeProofError(f"Node {node.name!r}", "has no output", "The artifact is damaged")
    return hull
