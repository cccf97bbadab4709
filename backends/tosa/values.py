"""Values of a TOSA graph, and the operations that only move them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from intcc.backends.tosa.graph import Graph, Operation, Tensor, Type
from intcc.interval import Interval, require_fits

__all__ = ["ValueBuilder"]


class ValueBuilder:
    """A graph under construction: its values and their movement."""

    def __init__(self, lacking: Collection[str] = ()) -> None:
        """Start with an empty graph.

        Args:
            lacking: operations to do without, of those that have another form.
        """
        self.graph = Graph()
        self._lacking = frozenset(lacking)
        self._constants: dict[tuple[Type, tuple[int, ...], bytes], Tensor] = {}
        self._count = 0

    def allows(self, kind: str) -> bool:
        """Tell whether an operation may be used."""
        return kind not in self._lacking

    # -- values ---------------------------------------------------------------------------------

    def input(self, name: str, shape: Sequence[int], kind: Type, interval: Interval) -> Tensor:
        """Add an input of the graph."""
        tensor = Tensor(name, tuple(shape), kind, interval)
        self.graph.inputs.append(tensor)
        return tensor

    def output(self, tensor: Tensor, name: str) -> None:
        """Make a value an output of the graph."""
        copy = Tensor(name, tensor.shape, tensor.type, tensor.interval)
        self.graph.operations.append(Operation("IDENTITY", (tensor,), copy))
        self.graph.outputs.append(copy)

    def constant(self, array: Any, kind: Type) -> Tensor:
        """Return a constant; equal ones are one."""
        data = np.ascontiguousarray(array, dtype=kind.dtype).reshape(np.shape(array))
        assert np.array_equal(data, array), f"a constant leaves {kind.value}"
        key = (kind, data.shape, data.tobytes())
        if key not in self._constants:
            interval = Interval.of(0, 0)
            if data.size:
                interval = Interval.of(int(data.min()), int(data.max()))
            name = f"constant{len(self._constants)}"
            self._constants[key] = Tensor(name, data.shape, kind, interval, data)
        return self._constants[key]

    def shape(self, extents: Sequence[int]) -> Tensor:
        """Return extents as an operand."""
        return self.constant(np.asarray(extents, np.int64), Type.SHAPE)

    def emit(
        self,
        kind: str,
        inputs: Sequence[Tensor],
        shape: Sequence[int],
        to: Type,
        interval: Interval,
        **attributes: Any,
    ) -> Tensor:
        """Append an operation; return its result."""
        require_fits(interval, to.limits, f"TOSA's {kind}")
        self._count += 1
        output = Tensor(f"value{self._count}", tuple(int(n) for n in shape), to, interval)
        self.graph.operations.append(Operation(kind, tuple(inputs), output, attributes))
        return output

    # -- movement -------------------------------------------------------------------------------

    def reshape(self, a: Tensor, shape: Sequence[int]) -> Tensor:
        """The same elements in other extents."""
        wanted = tuple(int(n) for n in shape)
        if wanted == a.shape:
            return a
        if a.data is not None:
            return self.constant(a.data.reshape(wanted), a.type)
        kept = a.interval if a.shape[-1:] == wanted[-1:] else a.interval.scalar()
        return self.emit("RESHAPE", (a, self.shape(wanted)), wanted, a.type, kept)

    def transpose(self, a: Tensor, order: Sequence[int]) -> Tensor:
        """Dimension i of the result is dimension order[i] of the operand."""
        if list(order) == list(range(a.rank)):
            return a
        shape = [a.shape[i] for i in order]
        kept = a.interval if order[-1] == a.rank - 1 else a.interval.scalar()
        return self.emit("TRANSPOSE", (a,), shape, a.type, kept, perms=list(order))

    def slice(self, a: Tensor, start: Sequence[int], size: Sequence[int]) -> Tensor:
        """`size` elements from `start` on, per dimension."""
        if tuple(size) == a.shape:
            return a
        kept = a.interval.scalar()
        return self.emit("SLICE", (a, self.shape(start), self.shape(size)), size, a.type, kept)

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """Join along an axis."""
        full = [p for p in parts if p.shape[axis]]
        if len(full) == 1:
            return full[0]
        shape = list(full[0].shape)
        shape[axis] = sum(p.shape[axis] for p in full)
        hull = full[0].interval.scalar()
        for part in full[1:]:
            hull = hull.hull(part.interval.scalar())
        return self.emit("CONCAT", full, shape, full[0].type, hull, axis=axis % len(shape))

    def tile(self, a: Tensor, shape: Sequence[int]) -> Tensor:
        """Repeat dimensions of extent 1 up to `shape`."""
        wanted = tuple(int(n) for n in shape)
        if wanted == a.shape:
            return a
        times = [n // m for n, m in zip(wanted, a.shape, strict=True)]
        return self.emit("TILE", (a, self.shape(times)), wanted, a.type, a.interval.scalar())

    def reverse(self, a: Tensor, axis: int) -> Tensor:
        """Elements along an axis in opposite order."""
        return self.emit("REVERSE", (a,), a.shape, a.type, a.interval.scalar(), axis=axis)

    def gather(self, table: Tensor, indices: Tensor) -> Tensor:
        """Rows [N, W, C] of table [N, K, C] at indices [N, W]."""
        shape = (*indices.shape, table.shape[2])
        return self.emit("GATHER", (table, indices), shape, table.type, table.interval.scalar())

    def argmax(self, a: Tensor, axis: int) -> Tensor:
        """First index of the largest element; the axis goes."""
        shape = (*a.shape[:axis], *a.shape[axis + 1 :])
        interval = Interval.of(0, a.shape[axis] - 1)
        return self.emit("ARGMAX", (a,), shape, Type.INT32, interval, axis=axis)
