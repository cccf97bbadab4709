"""The standard operators that an integer graph may hold beside ai.intcc: movement and lengths.

Each entry takes the node's attributes by name and its inputs in order (None where an optional one
is absent) and returns the outputs as a tuple. Semantics are those of ONNX opset 20.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

__all__ = ["MOVEMENT"]

Array = npt.NDArray[Any]
Attributes = Mapping[str, Any]


def _ints(array: Array) -> tuple[int, ...]:
    return tuple(int(v) for v in array.ravel())


def reshape(attributes: Attributes, x: Array, shape: Array) -> tuple[Array, ...]:
    """0 copies an extent (unless allowzero), -1 is inferred."""
    wanted = _ints(shape)
    if not attributes.get("allowzero", 0):
        wanted = tuple(x.shape[i] if n == 0 else n for i, n in enumerate(wanted))
    return (x.reshape(wanted),)


def transpose(attributes: Attributes, x: Array) -> tuple[Array, ...]:
    """Permute dimensions; reverse them without `perm`."""
    return (np.ascontiguousarray(np.transpose(x, attributes.get("perm"))),)


def slice_(
    attributes: Attributes,
    x: Array,
    starts: Array,
    ends: Array,
    axes: Array | None = None,
    steps: Array | None = None,
) -> tuple[Array, ...]:
    """Half-open ranges; out-of-range bounds are clamped, as Python's are."""
    first, last = _ints(starts), _ints(ends)
    along = tuple(range(len(first))) if axes is None else _ints(axes)
    step = (1,) * len(first) if steps is None else _ints(steps)
    index = [slice(None)] * x.ndim
    for axis, lo, hi, by in zip(along, first, last, step, strict=True):
        # ONNX spells "past the first element" for negative steps as any end below -extent.
        end = None if by < 0 and hi < -x.shape[axis] else hi
        index[axis] = slice(lo, end, by)
    return (np.ascontiguousarray(x[tuple(index)]),)


def concat(attributes: Attributes, *parts: Array) -> tuple[Array, ...]:
    """Join along `axis`."""
    return (np.concatenate(parts, axis=attributes["axis"]),)


def split(attributes: Attributes, x: Array, sizes: Array | None = None) -> tuple[Array, ...]:
    """Cut along `axis` by sizes, or into num_outputs parts of which the last may be shorter."""
    axis = attributes.get("axis", 0)
    if sizes is None:
        count = attributes["num_outputs"]
        part = -(-x.shape[axis] // count)
        cuts = [part * i for i in range(1, count)]
    else:
        cuts = np.cumsum(_ints(sizes))[:-1].tolist()
    return tuple(np.ascontiguousarray(p) for p in np.split(x, cuts, axis=axis))


def squeeze(attributes: Attributes, x: Array, axes: Array | None = None) -> tuple[Array, ...]:
    """Drop extents of one."""
    return (np.squeeze(x, None if axes is None else _ints(axes)),)


def unsqueeze(attributes: Attributes, x: Array, axes: Array) -> tuple[Array, ...]:
    """Insert extents of one at positions of the result."""
    return (np.expand_dims(x, _ints(axes)),)


def expand(attributes: Attributes, x: Array, shape: Array) -> tuple[Array, ...]:
    """Broadcast both ways."""
    return (np.broadcast_to(x, np.broadcast_shapes(x.shape, _ints(shape))).copy(),)


def gather(attributes: Attributes, x: Array, indices: Array) -> tuple[Array, ...]:
    """Take slices along `axis`."""
    return (np.take(x, indices.astype(np.int64), axis=attributes.get("axis", 0)),)


def cast(attributes: Attributes, x: Array) -> tuple[Array, ...]:
    """Change the integer type; narrowing wraps."""
    return (x.astype(ir.DataType(attributes["to"]).numpy()),)


def argmax(attributes: Attributes, x: Array) -> tuple[Array, ...]:
    """First index of the maximum."""
    axis = attributes.get("axis", 0)
    if attributes.get("select_last_index", 0):
        found = x.shape[axis] - 1 - np.argmax(np.flip(x, axis), axis)
    else:
        found = np.argmax(x, axis)
    if attributes.get("keepdims", 1):
        found = np.expand_dims(found, axis)
    return (np.asarray(found, dtype=np.int64),)


def shape(attributes: Attributes, x: Array) -> tuple[Array, ...]:
    """Extents from `start` to `end`."""
    span = slice(attributes.get("start", 0), attributes.get("end"))
    return (np.array(x.shape[span], dtype=np.int64),)


def add(attributes: Attributes, a: Array, b: Array) -> tuple[Array, ...]:
    """Sum of lengths."""
    return (a + b,)


def identity(attributes: Attributes, x: Array) -> tuple[Array, ...]:
    """Pass through."""
    return (x,)


MOVEMENT: Mapping[str, Callable[..., tuple[Array, ...]]] = {
    "Add": add,
    "ArgMax": argmax,
    "Cast": cast,
    "Concat": concat,
    "Expand": expand,
    "Gather": gather,
    "Identity": identity,
    "Reshape": reshape,
    "Shape": shape,
    "Slice": slice_,
    "Split": split,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
