"""Data movement, ArgMax and Cast of the integer graph in TOSA."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from intcc.backends.tosa.arithmetic import codes, remainder
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.graph import Tensor, Type
from intcc.backends.tosa.site import Site, unsupported
from intcc.interval import Interval

__all__ = ["MOVEMENT"]


def reshape(site: Site) -> list[Tensor]:
    """0 copies an extent (unless allowzero), -1 is inferred."""
    x, wanted = site.tensor(0), site.numbers(1)
    if not site.attribute("allowzero", 0):
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    return [site.b.reshape(x, np.empty(x.shape, np.bool_).reshape(wanted).shape)]


def transpose(site: Site) -> list[Tensor]:
    """Permute dimensions; reverse them without `perm`."""
    x = site.tensor(0)
    order = site.attribute("perm") or range(x.rank - 1, -1, -1)
    return [site.b.transpose(x, list(order))]


def slice_(site: Site) -> list[Tensor]:
    """Half-open ranges, forwards; steps of -1 turn an axis around."""
    b, x = site.b, site.tensor(0)
    starts, ends = site.numbers(1), site.numbers(2)
    count = len(site.inputs)
    axes = site.numbers(3) if count > 3 and site.inputs[3] is not None else range(len(starts))
    steps = site.numbers(4) if count > 4 and site.inputs[4] is not None else [1] * len(starts)
    first, size, turned = [0] * x.rank, list(x.shape), []
    for axis, lo, hi, step in zip(axes, starts, ends, steps, strict=True):
        at = axis % x.rank
        taken = range(x.shape[at])[lo : None if step < 0 and hi < -x.shape[at] else hi : step]
        if abs(step) != 1:
            raise unsupported(site.node, f"has steps of {step}")
        first[at], size[at] = (min(taken[0], taken[-1]) if taken else 0), len(taken)
        turned += [at] if step < 0 else []
    y = b.slice(x, first, size)
    for axis in turned:
        y = b.reverse(y, axis)
    return [y]


def concat(site: Site) -> list[Tensor]:
    """Join along `axis`."""
    parts = [site.tensor(i) for i in range(len(site.inputs))]
    return [site.b.concat(parts, site.attribute("axis") % parts[0].rank)]


def split(site: Site) -> list[Tensor]:
    """Cut along `axis` by sizes, or into num_outputs parts of which the last may be shorter."""
    x = site.tensor(0)
    axis = site.attribute("axis", 0) % x.rank
    if len(site.inputs) > 1 and site.inputs[1] is not None:
        sizes = site.numbers(1)
    else:
        count = site.attribute("num_outputs")
        part = -(-x.shape[axis] // count)
        sizes = [min(part, x.shape[axis] - part * i) for i in range(count)]
    made, start = [], 0
    for extent in sizes:
        first, size = [0] * x.rank, list(x.shape)
        first[axis], size[axis] = start, extent
        made.append(site.b.slice(x, first, size))
        start += extent
    return made


def squeeze(site: Site) -> list[Tensor]:
    """Drop extents of one."""
    x = site.tensor(0)
    if len(site.inputs) > 1 and site.inputs[1] is not None:
        dropped = {axis % x.rank for axis in site.numbers(1)}
    else:
        dropped = {i for i, n in enumerate(x.shape) if n == 1}
    return [site.b.reshape(x, [n for i, n in enumerate(x.shape) if i not in dropped])]


def unsqueeze(site: Site) -> list[Tensor]:
    """Insert extents of one at positions of the result."""
    x, axes = site.tensor(0), site.numbers(1)
    return [site.b.reshape(x, np.expand_dims(np.empty(x.shape, np.bool_), tuple(axes)).shape)]


def expand(site: Site) -> list[Tensor]:
    """Broadcast both ways."""
    x = site.tensor(0)
    shape = np.broadcast_shapes(x.shape, tuple(site.numbers(1)))
    return [site.b.tile(site.b.reshape(x, (1,) * (len(shape) - x.rank) + x.shape), shape)]


def gather(site: Site) -> list[Tensor]:
    """Take slices along `axis`: constant indices by slices, computed ones by GATHER."""
    b, axis = site.b, site.attribute("axis", 0)
    if not isinstance(site.inputs[1], Tensor):
        return [_taken(site, site.tensor(0), site.array(1), axis)]
    table, indices = site.tensor(0), site.tensor(1)
    axis %= table.rank
    if indices.lo < 0 or indices.hi >= table.shape[axis]:
        raise unsupported(
            site.node,
            f"reads indices [{indices.lo}, {indices.hi}] of {table.shape[axis]} elements",
        )
    order = [axis, *(i for i in range(table.rank) if i != axis)]
    moved = b.transpose(table, order)
    rest = moved.shape[1:]
    width, count = int(np.prod(rest, dtype=np.int64)), int(np.prod(indices.shape, dtype=np.int64))
    rows = b.gather(b.reshape(moved, (1, table.shape[axis], width)), b.reshape(indices, (1, count)))
    spread = b.reshape(rows, (*indices.shape, *rest))
    n = indices.rank
    back = [*range(n, n + axis), *range(n), *range(n + axis, n + len(rest))]
    return [b.transpose(spread, back)]


def _taken(site: Site, x: Tensor, indices: np.ndarray, axis: int) -> Tensor:
    b, axis = site.b, axis % x.rank
    flat = [int(i) % x.shape[axis] for i in indices.reshape(-1)]
    parts, start = [], 0
    while start < len(flat):
        stop = start + 1
        while stop < len(flat) and flat[stop] == flat[stop - 1] + 1:
            stop += 1
        first, size = [0] * x.rank, list(x.shape)
        first[axis], size[axis] = flat[start], stop - start
        parts.append(b.slice(x, first, size))
        start = stop
    joined = b.concat(parts, axis)
    return b.reshape(joined, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def cast(site: Site) -> list[Tensor]:
    """Another integer type, where no number changes."""
    b, x, to = site.b, site.tensor(0), ir.DataType(site.attribute("to")).numpy()
    value = site.node.inputs[0]
    if value is not None and value.dtype == ir.DataType.UINT8 and to in (np.int32, np.int64):
        return [codes(b, x)]
    if to in (np.int32, np.int64) and x.type is not Type.INT16:
        return [b.cast(x, Type.INT32)]
    raise unsupported(site.node, f"makes {to} of {x.type.value}")


def argmax(site: Site) -> list[Tensor]:
    """First index of the maximum, or last."""
    b, x = site.b, site.tensor(0)
    axis = site.attribute("axis", 0) % x.rank
    last = site.attribute("select_last_index", 0)
    found = _position(b.reverse(x, axis) if last else x, site, axis)
    if last:
        found = b.sub(x.shape[axis] - 1, found)
    kept = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    return [b.reshape(found, kept) if site.attribute("keepdims", 1) else found]


def _position(x: Tensor, site: Site, axis: int) -> Tensor:
    """First index of the maximum; ARGMAX itself compares 8 bits alone."""
    b = site.b
    if x.type is Type.INT8:
        return b.argmax(x, axis)
    missing = b.minimum(_behind(b, b.maximum_along(x, axis), x), 1)
    shape = [1] * x.rank
    shape[axis] = x.shape[axis]
    # Descending weights where the maximum stands, 0 elsewhere: the largest is the first.
    weights = np.arange(x.shape[axis], 0, -1).reshape(shape)
    here = b.mul(b.sub(1, missing), weights)
    best = b.maximum_along(here, axis)
    found = b.sub(x.shape[axis], best)
    return b.reshape(found, (*x.shape[:axis], *x.shape[axis + 1 :]))


def _behind(b: Builder, top: Tensor, x: Tensor) -> Tensor:
    """Return a number above 0 where x < top, 0 where x == top; the difference may pass int32."""
    if x.hi - x.lo < 2**31:
        return b.sub(top, x, Interval.of(0, x.hi - x.lo))
    (high, low), (upper, lower) = (remainder(b, t, 16) for t in (top, x))
    apart = b.sub(high, upper, Interval.of(0, 2**16 - 1))
    return b.add(apart, b.abs(b.sub(low, lower)))


def add(site: Site) -> list[Tensor]:
    """Sum of lengths."""
    return [site.b.add(site.tensor(0), site.tensor(1))]


def identity(site: Site) -> list[Tensor]:
    """Pass through."""
    return [site.tensor(0)]


MOVEMENT: Mapping[str, Callable[[Site], list[Tensor]]] = {
    "Add": add,
    "ArgMax": argmax,
    "Cast": cast,
    "Concat": concat,
    "Expand": expand,
    "Gather": gather,
    "Identity": identity,
    "Reshape": reshape,
    "Slice": slice_,
    "Split": split,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
