"""A graph of the QDQ flavour under construction: nodes, constants, pairs of Q and DQ."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from intcc.backends.onnx.qdq_grid import Grid

__all__ = ["Builder"]

Array = npt.NDArray[Any]


class Builder:
    """Collects nodes and initializers under names that are used once.

    Attributes:
        nodes: in order.
        initializers: by name.
        reach: largest magnitudes by name, of values of which the graph itself tells.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        """Start empty.

        Args:
            taken: names that are in use already.
        """
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._shared: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count: dict[str, int] = dict.fromkeys(taken, 1)
        self.reach: dict[str, float] = {}

    def fresh(self, stem: str) -> str:
        """Return a name not used before."""
        name, count = stem, self._count.get(stem, 0)
        while name in self._count:
            name, count = f"{stem}.{count}", count + 1
        self._count[stem] = max(count, 1)
        self._count.setdefault(name, 1)
        return name

    def bound(self, name: str, reach: float) -> str:
        """Note the largest magnitude of a value, and return its name."""
        self.reach[name] = reach
        return name

    def const(self, array: Any, stem: str, *, share: bool = True) -> str:
        """Return the name of an initializer; equal ones are shared, where they may be."""
        array = np.asarray(array, order="C")  # keeps rank 0, which ascontiguousarray does not
        key = (array.dtype.str, array.shape, array.tobytes())
        if share and key in self._shared:
            return self._shared[key]
        name = self.fresh(stem)
        self.initializers[name] = numpy_helper.from_array(array, name)
        if share:
            self._shared[key] = name
        return name

    def real(self, array: Any, stem: str) -> str:
        """Return the name of a float32 initializer."""
        return self.const(np.asarray(array, np.float32), stem)

    def node(self, kind: str, inputs: list[str], stem: str, **attributes: Any) -> str:
        """Append a node with one output and return its name."""
        name = self.fresh(stem)
        self.nodes.append(helper.make_node(kind, inputs, [name], f"{kind}_{name}", **attributes))
        return name

    def affine(self, x: str, factor: Array, offset: Array, stem: str) -> str:
        """Multiply by a factor and add an offset, where they do anything."""
        if (factor != 1).any():
            x = self.node("Mul", [x, self.real(factor, f"{stem}.factor")], f"{stem}.scaled")
        if offset.any():
            x = self.node("Add", [x, self.real(offset, f"{stem}.offset")], f"{stem}.shifted")
        return x

    def _parameters(self, scale: Any, zero: Any, stem: str) -> list[str]:
        """Return initializers of a scale and a zero point, which belong to one tensor alone."""
        return [
            self.const(np.asarray(scale, np.float32), f"{stem}.scale", share=False),
            self.const(zero, f"{stem}.zero", share=False),
        ]

    def pair(self, x: str, grid: Grid, stem: str, result: str | None = None) -> str:
        """Append QuantizeLinear and DequantizeLinear of one scale.

        Args:
            x: what is quantized.
            grid: how.
            stem: of the names that are made.
            result: name of the result; None: one is made.
        """
        parameters = self._parameters(grid.scale, np.asarray(grid.zero, grid.dtype), stem)
        stored = self.node("QuantizeLinear", [x, *parameters], f"{stem}.quantized")
        result = result or self.fresh(f"{stem}.dequantized")
        inputs = [stored, *parameters]
        self.nodes.append(
            helper.make_node("DequantizeLinear", inputs, [result], f"DequantizeLinear_{result}")
        )
        return result

    def stored(self, array: Array, scale: Any, stem: str, axis: int | None = None) -> str:
        """Append the DequantizeLinear of a constant: scales along an axis, zero points of 0."""
        zero = np.zeros(np.shape(scale), array.dtype)
        inputs = [self.const(array, stem), *self._parameters(scale, zero, stem)]
        along = {} if axis is None else {"axis": axis}
        return self.node("DequantizeLinear", inputs, f"{stem}.real", **along)
