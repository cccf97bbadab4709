"""Standard operators that move elements, look for the largest, or change types."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from intcc.backends.tosa.emit import MOST_DIMENSIONS
from tests.c.bench import Bench
from tests.npu.random_cases.draw import Cases, Draw, Shape, wide
from tests.ops.harness import i32, i64

__all__ = ["CASES"]

_TYPES = (np.uint8, np.int8, np.int32, np.int64)


def _input(b: Bench, d: Draw, shape: Shape, *types: Any) -> ir.Value:
    kind: Any = d.one_of(*(types or _TYPES))
    info = np.iinfo(np.int32 if kind is np.int64 else kind)
    ends = d.span(int(info.min), int(info.max))
    return wide(b, d, shape, *ends) if kind is np.int32 else b.input(kind, shape, *ends)


def _moved(b: Bench, d: Draw, kind: str, inputs: list[Any], **more: Any) -> None:
    """Add a node and its results; a Clip of the first shows whether its range is known rightly."""
    made = b.move(kind, inputs, **more)
    b.output(*made)
    first = next(v for v in inputs if isinstance(v, ir.Value))
    if first.dtype in (ir.DataType.INT32, None):
        b.output(*b.op("Clip", [made[0], *map(i32, d.span(-(2**31), 2**31 - 1))]))


def _shape(d: Draw, least: int = 1) -> Shape:
    """Return tokens with 1 to 3 extents of their own, or a shape without names."""
    own = [d.extent(6) for _ in range(d.one_of(1, 2, 3))]
    names: Shape = d.one_of(["batch", "sequence"], ["batch"], ["batch", "sequence"], [])
    return [*names, *own] if len(names) + len(own) >= least else [*names, *own, d.extent(6)]


def _axis(d: Draw, shape: Shape) -> int:
    """Return an axis of known extent, from the front or from the back."""
    own = [i for i, n in enumerate(shape) if isinstance(n, int)]
    axis = int(d.rng.choice(own))
    return axis - len(shape) if d.chance() else axis


def _known(shape: Shape, axis: int) -> int:
    extent = shape[axis]
    assert isinstance(extent, int)
    return extent


def _add(b: Bench, d: Draw) -> None:
    x, y = (b.input(np.int64, ["sequence"], *d.span(-(2**30), 2**30 - 1)) for _ in range(2))
    b.output(*b.move("Add", [x, y]))


def _argmax(b: Bench, d: Draw) -> None:
    shape = _shape(d)
    x = _input(b, d, shape, np.uint8, np.int8, np.int32)
    axis = int(d.rng.integers(-len(shape), len(shape)))
    last, kept = (int(d.chance()) for _ in range(2))
    b.output(*b.move("ArgMax", [x], axis=axis, keepdims=kept, select_last_index=last))


def _cast(b: Bench, d: Draw) -> None:
    to = ir.DataType.from_numpy(np.dtype(d.one_of(np.int32, np.int64)))
    b.output(*b.move("Cast", [_input(b, d, _shape(d))], to=to.value))


def _concat(b: Bench, d: Draw) -> None:
    """Computed parts and constants; of one extent or of several."""
    shape = _shape(d)
    axis, kind = _axis(d, shape), d.one_of(*_TYPES)
    parts: list[Any] = []
    for _ in range(d.extent(4)):
        size = list(shape)
        size[axis] = d.extent(6)
        parts.append(_input(b, d, size, kind))
    if all(isinstance(n, int) for n in shape):
        info: Any = np.iinfo(np.int32 if kind is np.int64 else kind)
        parts.append(d.numbers(info.min, info.max, shape).astype(kind))
    order = d.rng.permutation(len(parts))
    _moved(b, d, "Concat", [parts[i] for i in order], axis=axis)


def _expand(b: Bench, d: Draw) -> None:
    """New extents before, and 1 made larger; both ways."""
    wanted = [d.extent(5) for _ in range(d.one_of(1, 2, 3))]
    shape: Shape = [1 if d.chance() else n for n in wanted]
    before = [d.extent(3)] if d.chance(0.4) else []
    asked = [*before, *(1 if d.chance(0.2) else n for n in wanted)]
    _moved(b, d, "Expand", [_input(b, d, shape), i64(asked)])


def _gather(b: Bench, d: Draw) -> None:
    """Constant indices of every rank, from both ends; computed ones."""
    shape = _shape(d)
    axis = _axis(d, shape)
    size = _known(shape, axis)
    if d.chance():
        indices: Any = d.numbers(-size, size - 1, d.one_of((), (d.extent(7),), (2, d.extent(3))))
    else:
        named = d.one_of(["sequence"], ["batch", "sequence"], [d.extent(4), 2], [])
        indices = b.input(np.int64, named, *d.span(0, size - 1))
    _moved(b, d, "Gather", [_input(b, d, shape), indices], axis=axis)


def _identity(b: Bench, d: Draw) -> None:
    _moved(b, d, "Identity", [_input(b, d, _shape(d))])


def _reshape(b: Bench, d: Draw) -> None:
    parts = [d.extent(5) for _ in range(3)]
    whole = int(np.prod(parts))
    shape: Shape = d.one_of(["batch", "sequence", whole], ["batch", whole], [whole])
    kept = [0] * (len(shape) - 1)
    wanted = d.one_of([*kept, *parts], [*kept, -1, parts[2]], [-1, *parts], [-1, whole])
    _moved(b, d, "Reshape", [_input(b, d, shape), i64(wanted)])


def _slice(b: Bench, d: Draw) -> None:
    """Any known axes, ends beyond the edges, forwards and backwards."""
    shape = _shape(d)
    axes = {_axis(d, shape) % len(shape) for _ in range(d.one_of(1, 2))}
    starts, ends, steps = [], [], []
    for axis in sorted(axes):
        n = _known(shape, axis)
        lo, hi = sorted(int(v) for v in d.rng.choice(n + 1, 2, replace=False))
        step = d.one_of(1, 1, -1)
        first, last = (lo, hi) if step > 0 else (hi - 1, lo - 1)
        starts.append(first - n if d.chance(0.3) else first)
        edge = 2**31 - 1 if step > 0 else -(2**31)
        beyond = last == (n if step > 0 else -1)
        ends.append(edge if beyond and (step < 0 or d.chance(0.3)) else last)
        steps.append(step)
    at = [axis - len(shape) if d.chance() else axis for axis in sorted(axes)]
    operands: list[Any] = [_input(b, d, shape), i64(starts), i64(ends), i64(at), i64(steps)]
    _moved(b, d, "Slice", operands if min(steps) < 0 or d.chance() else operands[:4])


def _split(b: Bench, d: Draw) -> None:
    """By sizes, or into parts of which the last may be shorter."""
    shape = _shape(d)
    axis = _axis(d, shape)
    count = d.extent(4)
    if d.chance():
        sizes = [d.extent(5) for _ in range(count)]
        shape[axis] = sum(sizes)
        _moved(b, d, "Split", [_input(b, d, shape), i64(sizes)], axis=axis, outputs=count)
    else:
        part = d.extent(4)
        shape[axis] = count * part - int(d.rng.integers(part))
        more = {"num_outputs": count, "outputs": count}
        _moved(b, d, "Split", [_input(b, d, shape)], axis=axis, **more)


def _squeeze(b: Bench, d: Draw) -> None:
    """Named axes of 1, or all."""
    shape = _shape(d)
    while len(shape) < MOST_DIMENSIONS and d.chance(0.7):
        shape.insert(int(d.rng.integers(len(shape) + 1)), 1)
    at = [i for i, n in enumerate(shape) if n == 1]
    chosen = [i - len(shape) if d.chance() else i for i in at if d.chance(0.7)]
    known = all(isinstance(n, int) for n in shape)
    axes = [] if known and d.chance() else [i64(chosen or at)]
    _moved(b, d, "Squeeze", [_input(b, d, shape), *axes])


def _transpose(b: Bench, d: Draw) -> None:
    shape = _shape(d)
    x = _input(b, d, shape)
    order = {"perm": d.rng.permutation(len(shape)).tolist()} if d.chance(0.8) else {}
    _moved(b, d, "Transpose", [x], **order)


def _unsqueeze(b: Bench, d: Draw) -> None:
    shape = _shape(d)
    rank = min(len(shape) + d.one_of(1, 2), MOST_DIMENSIONS)
    axes = d.rng.choice(rank, rank - len(shape), replace=False)
    at = [int(a) - rank if d.chance() else int(a) for a in axes]
    _moved(b, d, "Unsqueeze", [_input(b, d, shape), i64(at)])


CASES: Cases = {
    "Add": _add,
    "ArgMax": _argmax,
    "Cast": _cast,
    "Concat": _concat,
    "Expand": _expand,
    "Gather": _gather,
    "Identity": _identity,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
