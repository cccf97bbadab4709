"""Padding: parts compute all rows of the largest token count; no row of a text may see the rest.

Rows behind the last token repeat it. What works on each row alone never mixes them in. Attention
leaves them out where its scores have the key mask, which closes them. What else combines tokens
stays with the processor, which knows their count.
"""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["sees_padding"]

#: Operators that combine the elements of the last axis of their first operand.
_LAST_AXIS = frozenset(
    ("BatchMatMul", "DynamicQuantize", "L2Normalize", "LayerNorm", "RMSNorm", "Softmax")
)
#: What stands between a key mask and the scores.
_BETWEEN = frozenset(("Add", "Expand", "Identity", "Reshape", "SaturatingAdd", "Unsqueeze"))
#: Ends of slices from here on mean the end of the axis.
_ENDLESS = 2**31 - 1


def sees_padding(node: ir.Node) -> str | None:
    """Return why results of a node depend on rows behind the last token; None where none does."""
    x, kind = node.inputs[0], node.op_type
    if kind == "Attention" and _counts(node.inputs[1], -2) and not _masked(node.inputs[3]):
        return "its attention has no key mask, which would close rows behind the last token"
    if kind in _LAST_AXIS and _counts(x, -1):
        return "it combines all tokens, and a part has rows behind the last one"
    if node.domain == "" and any(_counts(x, axis) for axis in _moved_axes(node)):
        return "it picks tokens by their count, and a part has rows behind the last one"
    return None


def _counts(value: ir.Value | None, axis: int) -> bool:
    """Tell whether an axis counts tokens."""
    if value is None or value.shape is None or not -len(value.shape) <= axis < len(value.shape):
        return False
    dimension = value.shape[axis]
    return not isinstance(dimension, int) and str(dimension) != "batch"


def _masked(addend: ir.Value | None) -> bool:
    node = None if addend is None else addend.producer()
    if node is None:
        return False
    if node.op_type == "KeyMask":
        return True
    return node.op_type in _BETWEEN and any(_masked(value) for value in node.inputs)


def _moved_axes(node: ir.Node) -> list[int]:
    """Return the axes of which the result holds other elements than the first ones."""
    kind = node.op_type
    if kind in ("ArgMax", "Concat", "Split"):
        return [node.attributes.get_int("axis", 0)]
    if kind == "Gather":
        index = _numbers(node, 1)
        known = index is not None and min(index, default=0) >= 0
        return [] if known else [node.attributes.get_int("axis", 0)]
    if kind != "Slice":
        return []
    starts, ends, steps = (_numbers(node, i) for i in (1, 2, 4))
    axes = _numbers(node, 3)
    count = len(starts or ends or axes or ())
    axes = list(range(count)) if axes is None else axes
    if starts is None or ends is None or (steps is not None and set(steps) != {1}):
        return axes
    spans = zip(axes, starts, ends, strict=True)
    return [a for a, lo, hi in spans if lo < 0 or hi < 0 or (hi >= _ENDLESS and lo > 0)]


def _numbers(node: ir.Node, index: int) -> list[int] | None:
    """Return a constant operand of whole numbers; None where it is absent or computed."""
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None or value.const_value is None:
        return None
    return [int(v) for v in value.const_value.numpy().reshape(-1)]
